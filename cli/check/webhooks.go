package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	regv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/manifests"
)

// errInconclusive means that a check could not look, which proves nothing:
// it is shown as a warning.
var errInconclusive = errors.New("could not be checked")

// webhookPort is the pod's port behind the Service's 443.
const webhookPort = 9443

// servingFunc returns the chain that a pod's TLS port serves.
type servingFunc func(ctx context.Context, cl *cluster.Cluster, namespace, pod string, port int, serverName string) ([]*x509.Certificate, error)

func webhooks(e *env) Category {
	check := func(name string, bundle func(ctx context.Context) (regv1.WebhookClientConfig, error)) Check {
		return Check{Description: name + " webhook has valid cert", Retry: true, Hint: "webhook-cert", Run: func(ctx context.Context) error {
			cc, err := bundle(ctx)
			if err != nil {
				return err
			}
			return e.checkServing(ctx, name, cc)
		}}
	}
	return Category{e.tool + "-webhooks-and-apisvc-tls", []Check{
		check(manifests.Injector, e.injector),
		check(manifests.Validator, e.validator),
	}}
}

// injector reads how the API server reaches the mutating webhook.
func (e *env) injector(ctx context.Context) (regv1.WebhookClientConfig, error) {
	h, err := e.cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, metav1.GetOptions{})
	if err != nil || len(h.Webhooks) == 0 {
		return regv1.WebhookClientConfig{}, exists("MutatingWebhookConfiguration", manifests.Injector, err)
	}
	return h.Webhooks[0].ClientConfig, nil
}

// validator reads how the API server reaches the validating webhook.
func (e *env) validator(ctx context.Context) (regv1.WebhookClientConfig, error) {
	h, err := e.cluster.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, manifests.Validator, metav1.GetOptions{})
	if err != nil || len(h.Webhooks) == 0 {
		return regv1.WebhookClientConfig{}, exists("ValidatingWebhookConfiguration", manifests.Validator, err)
	}
	return h.Webhooks[0].ClientConfig, nil
}

// checkServing verifies what the pods serve, as the API server does.
func (e *env) checkServing(ctx context.Context, name string, cc regv1.WebhookClientConfig) error {
	if cc.Service == nil || cc.Service.Namespace != e.control() {
		return fmt.Errorf("%s does not point to a Service in namespace %s", name, e.control())
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cc.CABundle) {
		return fmt.Errorf("%s has no caBundle", name)
	}
	host := cc.Service.Name + "." + cc.Service.Namespace + ".svc"
	pods, err := e.controlPods(ctx)
	if err != nil {
		return err
	}
	for _, p := range pods {
		if podReady(p) != nil || p.DeletionTimestamp != nil {
			continue
		}
		chain, err := e.serving(ctx, e.cluster, p.Namespace, p.Name, webhookPort, host)
		if err != nil {
			return fmt.Errorf("%w: %w", errInconclusive, err)
		}
		if len(chain) == 0 {
			return fmt.Errorf("pod %s shows no certificate", p.Name)
		}
		inter := x509.NewCertPool()
		for _, c := range chain[1:] {
			inter.AddCert(c)
		}
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: pool, Intermediates: inter, CurrentTime: e.now()}); err != nil {
			return fmt.Errorf("pod %s: %w", p.Name, err)
		}
	}
	return nil
}

// servingCertificates fetches the chain through the API server.
func servingCertificates(ctx context.Context, cl *cluster.Cluster, namespace, pod string, port int, serverName string) ([]*x509.Certificate, error) {
	address, stop, err := cl.Forward(ctx, namespace, pod, port)
	if err != nil {
		return nil, err
	}
	defer stop()
	// The caller verifies the chain, with an error that tells more.
	d := tls.Dialer{Config: &tls.Config{ServerName: serverName, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}
