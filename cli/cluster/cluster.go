// Package cluster connects a command to a Kubernetes cluster, by the flags that
// all commands share.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/weftmesh/weft/cli/console"
)

// ErrConnect means that there is no configuration of a cluster, or that the
// cluster does not answer.
var ErrConnect = errors.New("cannot reach the cluster")

// Flags are shared by all commands.
type Flags struct {
	Kubeconfig, Context, As string
	AsGroup                 []string
	// ControlNamespace is where the control plane lives.
	ControlNamespace string
	// Verbose makes commands tell more.
	Verbose bool
}

// Register adds the flags to a set, under the names that the tool has for them.
func (f *Flags) Register(fs *pflag.FlagSet, c console.Console) {
	ns := c.Tool.Namespace
	if v := c.Getenv(c.Tool.NamespaceEnv); v != "" {
		ns = v
	}
	fs.StringVarP(&f.ControlNamespace, c.Tool.NamespaceFlag, c.Tool.NamespaceShort, ns, "namespace of the control plane")
	fs.StringVar(&f.Kubeconfig, "kubeconfig", "", "kubeconfig file; default is $KUBECONFIG, then ~/.kube/config")
	fs.StringVar(&f.Context, "context", "", "context of the kubeconfig file")
	fs.StringVar(&f.As, "as", "", "user to impersonate")
	fs.StringArrayVar(&f.AsGroup, "as-group", nil, "group to impersonate; may be repeated")
	fs.BoolVar(&f.Verbose, "verbose", false, "tell more on stderr")
}

// Cluster is a connection.
type Cluster struct {
	Config  *rest.Config
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	// ControlNamespace is where the control plane lives.
	ControlNamespace string
}

// config reads the kubeconfig without connecting.
func (f *Flags) config(getenv func(string) string) (*rest.Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: f.Kubeconfig, Precedence: filepath.SplitList(getenv("KUBECONFIG"))}
	if len(rules.Precedence) == 0 {
		if home := getenv("HOME"); home != "" {
			rules.Precedence = []string{filepath.Join(home, ".kube", "config")}
		}
	}
	over := &clientcmd.ConfigOverrides{CurrentContext: f.Context,
		AuthInfo: clientcmdapi.AuthInfo{Impersonate: f.As, ImpersonateGroups: f.AsGroup}}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, over).ClientConfig()
}

// Connect reads the kubeconfig and makes the clients; the cluster is first
// asked when something is wanted of it.
func (f *Flags) Connect(c console.Console) (*Cluster, error) {
	cfg, err := f.config(c.Getenv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	cfg.Timeout = 30 * time.Second
	cfg.QPS, cfg.Burst = 50, 100
	cfg.UserAgent = c.Tool.Name
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	return &Cluster{Config: cfg, Kube: kube, Dynamic: dyn, ControlNamespace: f.ControlNamespace}, nil
}

// Version returns the API server's version, such as v1.34.1.
func (c *Cluster) Version() (string, error) {
	v, err := c.Kube.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConnect, err)
	}
	return v.GitVersion, nil
}

// Mapper finds resources by kind; it asks the cluster once.
func (c *Cluster) Mapper() (meta.RESTMapper, error) {
	d, ok := c.Kube.Discovery().(discovery.CachedDiscoveryInterface)
	if !ok {
		d = memory.NewMemCacheClient(c.Kube.Discovery())
	}
	return restmapper.NewDeferredDiscoveryRESTMapper(d), nil
}

// CustomResourceDefinitions is the resource that defines others.
var CustomResourceDefinitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// CRDLabels returns the labels of a definition, and whether it exists.
func (c *Cluster) CRDLabels(ctx context.Context, name string) (map[string]string, bool, error) {
	o, err := c.Dynamic.Resource(CustomResourceDefinitions).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	return o.GetLabels(), true, nil
}
