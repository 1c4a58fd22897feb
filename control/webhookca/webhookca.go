// Package webhookca keeps the trust bundle in the webhook configurations that
// the API server calls the control plane by.
package webhookca

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Names of the configurations that are kept.
const (
	Injector  = "weft-injector"
	Validator = "weft-validator"
)

// every is how often the configurations are looked at although the bundle has
// not changed: somebody may have applied the manifests again.
const every = 15 * time.Second

// Keeper writes the bundle into the configurations.
type Keeper struct {
	client kubernetes.Interface
	log    *slog.Logger
	bundle chan []byte
}

// New makes a Keeper.
func New(client kubernetes.Interface, log *slog.Logger) *Keeper {
	return &Keeper{client: client, log: log, bundle: make(chan []byte, 1)}
}

// Set says what the bundle is from now on (PEM). It does not block.
func (k *Keeper) Set(pem []byte) {
	for {
		select {
		case k.bundle <- pem:
			return
		default:
		}
		// An older bundle waits; the new one replaces it.
		select {
		case <-k.bundle:
		default:
		}
	}
}

// Run keeps the configurations until the context ends. Failures are logged and
// tried again; configurations that do not exist are left alone.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var pem []byte
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case pem = <-k.bundle:
		case <-tick.C:
		case <-retry.C:
		}
		if len(pem) == 0 {
			continue
		}
		if err := k.write(ctx, pem); err != nil && ctx.Err() == nil {
			k.log.Warn("trust bundle not written to the webhook configurations; trying again", "error", err)
			retry.Reset(2 * time.Second)
		}
	}
}

func (k *Keeper) write(ctx context.Context, pem []byte) error {
	api := k.client.AdmissionregistrationV1()
	m, err := api.MutatingWebhookConfigurations().Get(ctx, Injector, metav1.GetOptions{})
	if err == nil {
		var p []byte
		if p, err = mutatingPatch(m, pem); err == nil && p != nil {
			_, err = api.MutatingWebhookConfigurations().Patch(ctx, Injector, types.JSONPatchType, p, metav1.PatchOptions{})
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %w", Injector, err)
	}
	v, err := api.ValidatingWebhookConfigurations().Get(ctx, Validator, metav1.GetOptions{})
	if err == nil {
		var p []byte
		if p, err = validatingPatch(v, pem); err == nil && p != nil {
			_, err = api.ValidatingWebhookConfigurations().Patch(ctx, Validator, types.JSONPatchType, p, metav1.PatchOptions{})
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %w", Validator, err)
	}
	return nil
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

func mutatingPatch(c *admissionv1.MutatingWebhookConfiguration, pem []byte) ([]byte, error) {
	var ops []operation
	for i, w := range c.Webhooks {
		ops = appendOps(ops, i, w.Name, w.ClientConfig, pem)
	}
	return encode(ops)
}

func validatingPatch(c *admissionv1.ValidatingWebhookConfiguration, pem []byte) ([]byte, error) {
	var ops []operation
	for i, w := range c.Webhooks {
		ops = appendOps(ops, i, w.Name, w.ClientConfig, pem)
	}
	return encode(ops)
}

// appendOps sets one entry's bundle, after a test that the entry is still the
// one that was read.
func appendOps(ops []operation, index int, name string, c admissionv1.WebhookClientConfig, pem []byte) []operation {
	if bytes.Equal(c.CABundle, pem) {
		return ops
	}
	at := "/webhooks/" + strconv.Itoa(index)
	return append(ops,
		operation{Op: "test", Path: at + "/name", Value: name},
		operation{Op: "add", Path: at + "/clientConfig/caBundle", Value: base64.StdEncoding.EncodeToString(pem)})
}

// encode makes the patch, or nil where nothing changes.
func encode(ops []operation) ([]byte, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	return json.Marshal(ops)
}
