package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/weftmesh/weft/control"
	"github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/mesh"
)

// flags are the command line as written.
type flags struct {
	options    control.Options
	source     string
	combine    string
	outbound   string
	inbound    string
	native     string
	kubeconfig string
	issuerDir  string
	pullPolicy string
	resources  string
	logLevel   string
	encoding   string
}

// command is the whole command line. Defaults come from the pod's environment
// where it has any.
func command(env func(string) string, stderr io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:           "weft-control",
		Short:         "The control plane of the weft service mesh",
		Version:       version.Get(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.read(cmd, stderr)
			if err != nil {
				return err
			}
			ctl, err := control.New(o)
			if err != nil {
				return err
			}
			go begin(cmd.Context(), ctl.Listed())
			return ctl.Run(cmd.Context())
		},
	}
	fs, o := c.Flags(), &f.options
	fs.SortFlags = false
	fs.StringVar(&f.source, "source", "kube", "where objects come from: kube or file")
	fs.StringVar(&o.Dir, "dir", "", "folder of YAML to watch (source file)")
	fs.StringVar(&o.StateDir, "state-dir", "", "folder for the authority and the token key, made if missing (source file)")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; default is the pod's own account (source kube)")
	fs.StringVar(&o.Listen, "listen", ":15012", "address of discovery and signing")
	fs.StringVar(&o.AdminListen, "admin-listen", ":9990", "address of probes, metrics and debug pages; empty for none")
	fs.StringVar(&o.WebhookListen, "webhook-listen", ":9443", "address of the injection and validation webhooks; empty for none (source kube)")
	fs.StringVar(&o.Namespace, "namespace", orElse(env("POD_NAMESPACE"), "weft-system"), "namespace of the control plane")
	fs.StringVar(&o.TrustDomain, "trust-domain", "cluster.local", "trust domain of identities")
	fs.StringVar(&o.ClusterDomain, "cluster-domain", "cluster.local", "DNS suffix of services")
	fs.StringVar(&f.issuerDir, "issuer-dir", "", "folder with the issuer's crt.pem and key.pem")
	fs.StringVar(&o.Issuer.Cert, "issuer-cert", "", "file of the issuer's certificate (PEM)")
	fs.StringVar(&o.Issuer.Key, "issuer-key", "", "file of the issuer's key (PEM)")
	fs.StringVar(&o.Issuer.Roots, "trust-anchors", "", "file of the trust bundle (PEM)")
	fs.StringVar(&o.Issuer.Roots, "trust-roots", "", "another name of --trust-anchors")
	fs.StringVar(&o.IssuerSecret, "issuer-secret", "weft-identity-issuer", "Secret of the issuer to follow; empty to follow the files (source kube)")
	fs.StringVar(&o.IssuerBundle, "trust-anchors-configmap", "weft-trust-roots", "ConfigMap of the trust bundle to follow (source kube)")
	fs.StringVar(&o.TokenKey, "token-key", "", "file of the Ed25519 key of workloads' tokens, made if missing (source file)")
	fs.StringVar(&f.outbound, "outbound", string(mesh.AllowAny), "fate of unknown destinations: ALLOW_ANY or REGISTRY_ONLY")
	fs.StringVar(&f.outbound, "outbound-policy", string(mesh.AllowAny), "another name of --outbound")
	fs.StringVar(&f.inbound, "inbound", string(mesh.Permissive), "plaintext where no policy speaks: PERMISSIVE or STRICT")
	fs.StringVar(&f.combine, "combine", string(mesh.CombineAll), "several VirtualServices or DestinationRules for one host: ALL take effect, or the OLDEST alone as in Istio")
	fs.StringVar(&o.AccessLog.File, "access-log-file", "", "file that every proxy writes its access log to, such as /dev/stdout; empty for none")
	fs.StringVar(&f.encoding, "access-log-encoding", "TEXT", "encoding of the access log: TEXT or JSON")
	fs.StringVar(&o.AccessLog.Format, "access-log-format", "", "format of the access log in Envoy's commands, an object of them with JSON; empty for Istio's default")
	fs.StringVar(&o.Tracing, "tracing", "", "what MeshConfig says of traces (JSON): enableTracing, defaultConfig.tracing, extensionProviders and defaultProviders.tracing; empty for no spans")
	fs.StringVar(&o.Inject.ProxyImage, "proxy-image", "", "image of the sidecar; default is this build's")
	fs.StringVar(&o.Inject.InitImage, "init-image", "", "image of the init container; default is this build's")
	fs.StringVar(&f.pullPolicy, "image-pull-policy", string(corev1.PullIfNotPresent), "pull policy of both images")
	fs.StringVar(&o.Inject.LogLevel, "proxy-log-level", "info", "log level of sidecars")
	fs.StringVar(&f.resources, "proxy-resources", "", "resources of the sidecar's container (JSON)")
	fs.StringVar(&f.native, "native-sidecar", "auto", "native sidecars: auto, true or false")
	fs.StringVar(&o.PodName, "pod-name", env("POD_NAME"), "name of this replica in leader election; default is the host's")
	fs.StringVar(&f.logLevel, "log-level", "info", "log level: error, warn, info or debug")
	return c
}

// startGC is GOGC until everything is listed.
const startGC = 250

// begin collects garbage seldom while everything is listed: the heap only grows
// then, and collecting it takes time and frees little. What the listing leaves
// behind is several times what stays, so that it is given back at the end.
func begin(ctx context.Context, listed <-chan struct{}) {
	usual := debug.SetGCPercent(startGC)
	select {
	case <-listed:
	case <-ctx.Done():
	}
	debug.SetGCPercent(usual)
	debug.FreeOSMemory()
}

// read turns the flags into options.
func (f flags) read(cmd *cobra.Command, stderr io.Writer) (control.Options, error) {
	o := f.options
	o.Source = control.Source(f.source)
	o.Outbound, o.Inbound = mesh.OutboundMode(f.outbound), mesh.MTLSMode(f.inbound)
	o.Combine = mesh.Combine(f.combine)
	switch f.encoding {
	case "TEXT", "JSON":
		o.AccessLog.JSON = f.encoding == "JSON"
	default:
		return o, fmt.Errorf("--access-log-encoding %q: use TEXT or JSON", f.encoding)
	}
	o.NativeSidecar = control.Native(f.native)
	o.Inject.PullPolicy = corev1.PullPolicy(f.pullPolicy)
	if f.resources != "" {
		if err := json.Unmarshal([]byte(f.resources), &o.Inject.Resources); err != nil {
			return o, fmt.Errorf("--proxy-resources: %w", err)
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return o, fmt.Errorf("--log-level %q: use error, warn, info or debug", f.logLevel)
	}
	o.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if f.issuerDir != "" {
		o.Issuer.Cert = orElse(o.Issuer.Cert, filepath.Join(f.issuerDir, "crt.pem"))
		o.Issuer.Key = orElse(o.Issuer.Key, filepath.Join(f.issuerDir, "key.pem"))
	}
	if o.Source != control.Kube {
		// The default is for clusters; what was asked for is refused later.
		if !cmd.Flags().Changed("webhook-listen") {
			o.WebhookListen = ""
		}
		return o, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		return o, fmt.Errorf("reach the cluster: %w", err)
	}
	// Enough for a burst of signing requests; the API server guards itself.
	config.QPS, config.Burst = 100, 200
	config.UserAgent = "weft-control/" + version.Get()
	o.Kube = config
	return o, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
