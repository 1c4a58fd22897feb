package kubesecret

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/weftmesh/weft/control/ca"
)

const (
	namespace = "weft-system"
	deadline  = 20 * time.Second
)

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }

func next(t *testing.T, updates <-chan ca.Material) ca.Material {
	t.Helper()
	select {
	case m := <-updates:
		return m
	case <-time.After(deadline):
		t.Fatal("no update")
		return ca.Material{}
	}
}

func TestFollowsSecretAndBundle(t *testing.T) {
	client := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: meta("roots"), Data: map[string]string{bundleKey: "roots-1"}},
		&corev1.Secret{ObjectMeta: meta("another"), Data: map[string][]byte{"crt.pem": []byte("x"), "key.pem": []byte("x")}})
	updates := make(chan ca.Material, 10)
	w := Watcher{Client: client, Namespace: namespace, Secret: "issuer", ConfigMap: "roots", Log: slog.New(slog.DiscardHandler),
		Update: func(m ca.Material) error { updates <- m; return nil }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	defer func() { cancel(); <-done }()

	// The Secret comes later, without its key first.
	secrets := client.CoreV1().Secrets(namespace)
	s := &corev1.Secret{ObjectMeta: meta("issuer"), Data: map[string][]byte{"tls.crt": []byte("cert-1")}}
	s, err := secrets.Create(ctx, s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Data["tls.key"] = []byte("key-1")
	if s, err = secrets.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, updates); string(m.Cert) != "cert-1" || string(m.Key) != "key-1" || string(m.Roots) != "roots-1" {
		t.Errorf("first: %s %s %s", m.Cert, m.Key, m.Roots)
	}
	if _, err := client.CoreV1().ConfigMaps(namespace).Update(ctx, &corev1.ConfigMap{ObjectMeta: meta("roots"), Data: map[string]string{bundleKey: "roots-2"}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, updates); string(m.Roots) != "roots-2" || string(m.Key) != "key-1" {
		t.Errorf("new bundle: %s %s", m.Roots, m.Key)
	}
	// Ours wins over the names of type kubernetes.io/tls.
	s.Data["crt.pem"], s.Data["key.pem"] = []byte("cert-2"), []byte("key-2")
	if _, err = secrets.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, updates); string(m.Cert) != "cert-2" || string(m.Key) != "key-2" {
		t.Errorf("new issuer: %s %s", m.Cert, m.Key)
	}
}
