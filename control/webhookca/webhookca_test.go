package webhookca

import (
	"context"
	"log/slog"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestKeepsTheBundle(t *testing.T) {
	client := fake.NewClientset(
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: Injector}, Webhooks: []admissionv1.MutatingWebhook{
			{Name: "a", ClientConfig: admissionv1.WebhookClientConfig{CABundle: []byte("old")}}, {Name: "b"}}},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}, Webhooks: []admissionv1.MutatingWebhook{{Name: "a"}}})
	k := New(client, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = k.Run(ctx) }()
	defer func() { cancel(); <-done }()
	hooks := client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	for _, want := range []string{"one", "two"} {
		k.Set([]byte("superseded"))
		k.Set([]byte(want))
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			c, err := hooks.Get(ctx, Injector, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if string(c.Webhooks[0].ClientConfig.CABundle) == want && string(c.Webhooks[1].ClientConfig.CABundle) == want {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("bundle %q was not written: %+v", want, c.Webhooks)
			}
		}
	}
	if c, err := hooks.Get(ctx, "foreign", metav1.GetOptions{}); err != nil || c.Webhooks[0].ClientConfig.CABundle != nil {
		t.Errorf("a foreign configuration was changed: %v", err)
	}
	if p, err := mutatingPatch(&admissionv1.MutatingWebhookConfiguration{Webhooks: []admissionv1.MutatingWebhook{{ClientConfig: admissionv1.WebhookClientConfig{CABundle: []byte("x")}}}}, []byte("x")); p != nil || err != nil {
		t.Errorf("an equal bundle is written again: %s, %v", p, err)
	}
}
