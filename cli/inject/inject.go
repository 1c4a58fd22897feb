// Package inject is the commands `inject` and `uninject`, and Istio's
// `kube-inject`: they read manifests and print them changed. By default the
// change is an annotation, and the webhook does the rest in the cluster; with
// --manual the containers are put in right here.
package inject

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/manifests"
)

// settings are annotations that flags add to each pod.
var settings = []struct{ flag, annotation, help string }{
	{"skip-inbound-ports", "config.linkerd.io/skip-inbound-ports", "inbound ports that bypass the proxy, such as 25,4567-4568"},
	{"skip-outbound-ports", "config.linkerd.io/skip-outbound-ports", "outbound ports that bypass the proxy"},
	{"skip-subnets", "config.linkerd.io/skip-subnets", "networks that bypass the proxy"},
	{"opaque-ports", "config.linkerd.io/opaque-ports", "ports whose protocol is not detected"},
	{"proxy-image", "config.linkerd.io/proxy-image", "image of the proxy"},
	{"image-pull-policy", "config.linkerd.io/image-pull-policy", "Always, IfNotPresent or Never"},
	{"proxy-log-level", "config.linkerd.io/proxy-log-level", "error, warn, info or debug"},
	{"proxy-cpu-request", "config.linkerd.io/proxy-cpu-request", "CPU that the proxy asks for"},
	{"proxy-cpu-limit", "config.linkerd.io/proxy-cpu-limit", "CPU that the proxy gets at most"},
	{"proxy-memory-request", "config.linkerd.io/proxy-memory-request", "memory that the proxy asks for"},
	{"proxy-memory-limit", "config.linkerd.io/proxy-memory-limit", "memory that the proxy gets at most"},
	{"admin-port", "config.linkerd.io/admin-port", "port of the proxy's probes and metrics"},
}

// switchOf is the annotation by which each tool asks for a sidecar.
func switchOf(t console.Tool) string {
	if t.Name == "weft" {
		return "weft.mesh/inject"
	}
	return "linkerd.io/inject"
}

// New makes `inject`.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var manual, native, ingress, ignoreCluster bool
	cmd := &cobra.Command{
		Use:   "inject [flags] FILE|DIR|-",
		Short: "Add the proxy to the workloads of manifests",
		Example: `  kubectl get deploy -o yaml | ` + c.Tool.Name + ` inject - | kubectl apply -f -
  ` + c.Tool.Name + ` inject app.yaml | kubectl apply -f -`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	f.BoolVar(&manual, "manual", false, "put the containers in here, instead of asking the webhook to")
	f.BoolVar(&ignoreCluster, "ignore-cluster", false, "no effect: without --manual no cluster is asked")
	f.BoolVar(&native, "native-sidecar", true, "with --manual: make the proxy a native sidecar (Kubernetes 1.29 and later)")
	f.BoolVar(&ingress, "ingress", false, "annotate with ingress instead of enabled")
	set := map[string]*string{}
	for _, s := range settings {
		set[s.annotation] = f.String(s.flag, "", s.help)
	}
	_ = f.MarkHidden("ignore-cluster")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		value := "enabled"
		if ingress {
			value = "ingress"
		}
		annotations := map[string]string{switchOf(c.Tool): value}
		for key, v := range set {
			if *v != "" {
				annotations[key] = *v
			}
		}
		var edit editor = annotate{annotations: annotations, verb: "injected"}
		if manual && ignoreCluster {
			return errors.New("--manual needs the cluster: its trust roots go into every pod")
		}
		if manual {
			opts, err := clusterOptions(cmd.Context(), c, flags)
			if err != nil {
				return err
			}
			opts.NativeSidecar = native
			edit = contain{annotations: annotations, opts: opts}
		}
		return run(c, args, edit)
	}
	return cmd
}

// NewKubeInject makes Istio's `kube-inject`.
func NewKubeInject(c console.Console, flags *cluster.Flags) *cobra.Command {
	var file string
	var native bool
	cmd := &cobra.Command{
		Use:   "kube-inject -f FILE",
		Short: "Put the proxy into the workloads of manifests",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &console.ExitError{Code: 64, Cause: fmt.Errorf("-f is missing: name a file, or - for stdin")}
			}
			opts, err := clusterOptions(cmd.Context(), c, flags)
			if err != nil {
				return err
			}
			opts.NativeSidecar = native
			return run(c, []string{file}, contain{labels: map[string]string{"sidecar.istio.io/inject": "true"}, opts: opts, quiet: true})
		},
	}
	cmd.Flags().StringVarP(&file, "filename", "f", "", "file of manifests, or - for stdin")
	cmd.Flags().BoolVar(&native, "native-sidecar", true, "make the proxy a native sidecar (Kubernetes 1.29 and later)")
	return cmd
}

// NewUninject makes `uninject`.
func NewUninject(c console.Console) *cobra.Command {
	return &cobra.Command{
		Use:   "uninject FILE|DIR|-",
		Short: "Remove the proxy from the workloads of manifests",
		Args:  cobra.MinimumNArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return run(c, args, remove{}) },
	}
}

// clusterOptions are the injector's, as the control plane in the cluster has them.
func clusterOptions(ctx context.Context, c console.Console, flags *cluster.Flags) (inject.Options, error) {
	cl, err := flags.Connect(c)
	if err != nil {
		return inject.Options{}, err
	}
	ns := flags.ControlNamespace
	roots, err := cl.Kube.CoreV1().ConfigMaps(ns).Get(ctx, manifests.TrustRoots, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return inject.Options{}, fmt.Errorf("there is no control plane in namespace %s: run `%s install` first", ns, c.Tool.Name)
	}
	if err != nil {
		return inject.Options{}, fmt.Errorf("%w: %w", cluster.ErrConnect, err)
	}
	o := inject.Options{ControlNamespace: ns, TrustAnchors: roots.Data[manifests.RootsKey], NativeSidecar: true}
	args, err := cl.ControlArgs(ctx)
	if err != nil {
		return o, fmt.Errorf("read the control plane's settings: %w", err)
	}
	// The injector's own settings are the arguments that the chart gave it.
	o.TrustDomain, o.ClusterDomain = args["--trust-domain"], args["--cluster-domain"]
	o.ProxyImage, o.InitImage = args["--proxy-image"], args["--init-image"]
	o.PullPolicy, o.LogLevel = corev1.PullPolicy(args["--image-pull-policy"]), args["--proxy-log-level"]
	return o, nil
}
