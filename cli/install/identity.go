package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/manifests"
)

// ErrIdentity means that the given certificates cannot serve as the mesh's authority.
var ErrIdentity = errors.New("invalid identity")

// readAuthority reads the three files of a brought authority and checks that
// they work together.
func readAuthority(files ca.Files, now time.Time) (ca.Material, error) {
	for _, f := range []struct{ flag, file string }{
		{"identity-trust-anchors-file", files.Roots}, {"identity-issuer-certificate-file", files.Cert}, {"identity-issuer-key-file", files.Key},
	} {
		if f.file == "" {
			return ca.Material{}, fmt.Errorf("%w: --%s is missing: the three identity files belong together", ErrIdentity, f.flag)
		}
	}
	m, err := files.Load()
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	if _, err := ca.NewIssuer(m, now); err != nil {
		return m, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return m, nil
}

// existingAuthority returns the one that the cluster has, and whether it has
// one. Half of one is an error while there are proxies that trust it.
func existingAuthority(ctx context.Context, kube kubernetes.Interface, namespace string) (ca.Material, bool, error) {
	secret, err := kube.CoreV1().Secrets(namespace).Get(ctx, manifests.Issuer, metav1.GetOptions{})
	noSecret := apierrors.IsNotFound(err)
	if err != nil && !noSecret {
		return ca.Material{}, false, fmt.Errorf("read the mesh's identity: %w; use --ignore-cluster to make a new one", err)
	}
	roots, err := kube.CoreV1().ConfigMaps(namespace).Get(ctx, manifests.TrustRoots, metav1.GetOptions{})
	noRoots := apierrors.IsNotFound(err)
	if err != nil && !noRoots {
		return ca.Material{}, false, fmt.Errorf("read the mesh's trust roots: %w; use --ignore-cluster to make new ones", err)
	}
	if noSecret && noRoots {
		return ca.Material{}, false, nil
	}
	var m ca.Material
	if !noSecret {
		pick := func(keys ...string) []byte {
			for _, k := range keys {
				if v := secret.Data[k]; len(v) > 0 {
					return v
				}
			}
			return nil
		}
		// cert-manager writes the form of kubernetes.io/tls.
		m.Cert, m.Key = pick(manifests.IssuerCert, "tls.crt"), pick(manifests.IssuerKey, "tls.key")
	}
	if !noRoots {
		m.Roots = []byte(roots.Data[manifests.RootsKey])
	}
	if len(m.Roots) > 0 && len(m.Cert) > 0 && len(m.Key) > 0 {
		return m, true, nil
	}
	pods, err := kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: inject.ControlNamespaceLabel + "=" + namespace, Limit: 1})
	if err != nil {
		return ca.Material{}, false, fmt.Errorf("look for proxies that trust the mesh's identity: %w; use --ignore-cluster to make a new one", err)
	}
	if len(pods.Items) > 0 {
		return ca.Material{}, false, fmt.Errorf("%w: of the Secret %s and the ConfigMap %s one is missing or incomplete, and a new identity would cut off the proxies that run; restore it, or use --ignore-cluster to make a new one nevertheless",
			ErrIdentity, manifests.Issuer, manifests.TrustRoots)
	}
	return ca.Material{}, false, nil
}
