package inject

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/internal/version"
)

// Errors of this package; errors.Is finds them under the detail.
var (
	// ErrOptions means that the options cannot make a working sidecar.
	ErrOptions = errors.New("injector is not configured")
	// ErrAnnotation means that an annotation of the pod or its namespace has a
	// value that cannot be used.
	ErrAnnotation = errors.New("invalid annotation")
	// ErrClash means that the pod has something of a name that the sidecar needs.
	ErrClash = errors.New("name taken")
	// ErrReview means that a request of the API server cannot be read.
	ErrReview = errors.New("invalid AdmissionReview")
)

// Options are the mesh's settings for every sidecar. A pod's and its
// namespace's annotations come on top.
type Options struct {
	// ControlNamespace is where the control plane lives; it is never injected.
	ControlNamespace string
	// ControlAddress is host:port of the discovery and signing service.
	ControlAddress string
	// TrustDomain and ClusterDomain are names; empty means cluster.local.
	TrustDomain, ClusterDomain string
	// TrustAnchors are the roots that the sidecar begins with, in PEM.
	TrustAnchors string
	// NativeSidecar makes the proxy an init container that restarts always
	// (Kubernetes 1.29 and later); false makes it an ordinary container.
	NativeSidecar bool
	// ProxyImage and InitImage are image references; empty means this build's.
	ProxyImage, InitImage string
	// PullPolicy of both images; empty means IfNotPresent.
	PullPolicy corev1.PullPolicy
	// Resources are the proxy's where no annotation sets any.
	Resources corev1.ResourceRequirements
	// LogLevel of the proxy: error, warn, info or debug; empty means info.
	LogLevel string
	// Version is what the annotation weft.mesh/proxy-version says; empty means this build's.
	Version string
}

// withDefaults returns a copy without empty fields that have a default.
func (o Options) withDefaults() Options {
	set := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	set(&o.ControlNamespace, "weft-system")
	set(&o.ControlAddress, "weft-control."+o.ControlNamespace+".svc:15012")
	set(&o.TrustDomain, "cluster.local")
	set(&o.ClusterDomain, "cluster.local")
	set(&o.ProxyImage, version.Image("", version.ProxyImage))
	set(&o.InitImage, version.Image("", version.InitImage))
	set((*string)(&o.PullPolicy), string(corev1.PullIfNotPresent))
	set(&o.LogLevel, "info")
	set(&o.Version, version.Get())
	return o
}

func (o Options) check() error {
	if o.TrustAnchors == "" {
		return fmt.Errorf("%w: no trust anchors", ErrOptions)
	}
	return nil
}

// Namespace is what matters of a pod's namespace.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
}

// Target is a pod that may get a sidecar.
type Target struct {
	Pod       *corev1.Pod
	Namespace Namespace
	// Owner is the controller of the pod, such as deployment/api; empty means
	// that it is found by the pod's owner references.
	Owner string
}

// Result says what became of a target.
type Result struct {
	// Decision says whether and why.
	Decision Decision
	// Patch is the change; empty when the pod is left alone.
	Patch Patch
	// Warnings are for whoever made the pod.
	Warnings []string
}
