package control

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"k8s.io/client-go/rest"

	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/mesh"
)

// ErrOptions means that the options contradict each other or lack something.
var ErrOptions = errors.New("invalid options")

// Source is where the mesh's objects come from.
type Source string

// The sources.
const (
	// Kube watches an API server.
	Kube Source = "kube"
	// File watches a folder of YAML.
	File Source = "file"
)

// Options of a control plane.
type Options struct {
	Source Source
	// Dir is the folder of source File.
	Dir string
	// StateDir holds what a mesh without Kubernetes must remember: the authority
	// and the key of its tokens; they are made there if they are missing.
	StateDir string
	// Kube reaches the API server of source Kube.
	Kube *rest.Config

	// Listen, AdminListen and WebhookListen are addresses; an empty one of the
	// latter two leaves that port out. Webhooks need source Kube.
	Listen, AdminListen, WebhookListen string

	// Namespace of the control plane.
	Namespace                  string
	TrustDomain, ClusterDomain string
	// Issuer files; empty names mean the files of StateDir (source File).
	Issuer ca.Files
	// IssuerSecret is the Secret to follow in Namespace (source Kube); with
	// none, the files are followed. IssuerBundle is the ConfigMap of the roots.
	IssuerSecret, IssuerBundle string
	// TokenKey is the Ed25519 key of the tokens of source File; empty means the
	// file of StateDir.
	TokenKey string

	// Outbound and Inbound are the mesh's defaults.
	Outbound mesh.OutboundMode
	Inbound  mesh.MTLSMode
	// Combine says what becomes of several VirtualServices, or DestinationRules,
	// for one host; empty means that all are in effect.
	Combine mesh.Combine
	// AccessLog is what proxies log where no Telemetry speaks.
	AccessLog mesh.LogSettings
	// Tracing is what Istio's MeshConfig says of traces (enableTracing,
	// defaultConfig.tracing, extensionProviders, defaultProviders), as JSON.
	Tracing string

	// Inject are the injector's options; names, addresses and trust anchors are
	// filled in. NativeSidecar decides about native sidecars.
	Inject        inject.Options
	NativeSidecar Native

	// PodName identifies the replica in leader election.
	PodName string
	Log     *slog.Logger
}

// Native says whether injected sidecars are native ones.
type Native string

// The choices.
const (
	// NativeAuto means: where the cluster has them (1.29 and later).
	NativeAuto Native = "auto"
	NativeOn   Native = "true"
	NativeOff  Native = "false"
)

// Files of StateDir.
const (
	// TrustAnchorsFile is the trust bundle, for proxies to begin with.
	TrustAnchorsFile = "trust-anchors.pem"
	// TokenKeyFile signs the tokens of workloads.
	TokenKeyFile   = "token-key.pem"
	issuerCertFile = "issuer.pem"
	issuerKeyFile  = "issuer-key.pem"
)

// withDefaults returns a copy with the defaults filled in, or every fault.
func (o Options) withDefaults() (Options, error) {
	set := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	set(&o.Listen, ":15012")
	set(&o.Namespace, "weft-system")
	set(&o.TrustDomain, identity.DefaultTrustDomain)
	set(&o.ClusterDomain, "cluster.local")
	set((*string)(&o.Outbound), string(mesh.AllowAny))
	set((*string)(&o.Inbound), string(mesh.Permissive))
	set((*string)(&o.Combine), string(mesh.CombineAll))
	set((*string)(&o.NativeSidecar), string(NativeAuto))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Source == File {
		for file, to := range map[string]*string{issuerCertFile: &o.Issuer.Cert, issuerKeyFile: &o.Issuer.Key, TrustAnchorsFile: &o.Issuer.Roots, TokenKeyFile: &o.TokenKey} {
			if o.StateDir != "" {
				set(to, filepath.Join(o.StateDir, file))
			}
		}
	}
	return o, o.check()
}

func (o Options) check() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
		}
	}
	switch o.Source {
	case File:
		fault(o.Dir == "", "source file needs a folder; give --dir")
		fault(o.TokenKey == "", "source file needs a token key; give --state-dir or --token-key")
		fault(o.Issuer.Cert == "" || o.Issuer.Key == "", "source file needs an issuer; give --state-dir, or --issuer-cert and --issuer-key")
		fault(o.WebhookListen != "", "webhooks need source kube; give an empty --webhook-listen")
	case Kube:
		fault(o.Kube == nil, "source kube needs a cluster")
		fault(o.IssuerSecret == "" && (o.Issuer.Cert == "" || o.Issuer.Key == ""), "no issuer; give --issuer-secret, or --issuer-cert and --issuer-key")
	default:
		fault(true, "source %q; use %s or %s", o.Source, Kube, File)
	}
	fault(o.Outbound != mesh.AllowAny && o.Outbound != mesh.RegistryOnly, "outbound %q; use %s or %s", o.Outbound, mesh.AllowAny, mesh.RegistryOnly)
	fault(o.Inbound != mesh.Permissive && o.Inbound != mesh.Strict, "inbound %q; use %s or %s", o.Inbound, mesh.Permissive, mesh.Strict)
	fault(o.Combine != mesh.CombineAll && o.Combine != mesh.CombineOldest, "combine %q; use %s or %s", o.Combine, mesh.CombineAll, mesh.CombineOldest)
	fault(o.NativeSidecar != NativeAuto && o.NativeSidecar != NativeOn && o.NativeSidecar != NativeOff, "native sidecar %q; use auto, true or false", o.NativeSidecar)
	if err := checkLog(o.AccessLog); err != nil {
		faults = append(faults, fmt.Errorf("%w: %w", ErrOptions, err))
	}
	if _, _, err := readTracing(o.Tracing); err != nil {
		faults = append(faults, fmt.Errorf("%w: %w", ErrOptions, err))
	}
	if err := identity.CheckTrustDomain(o.TrustDomain); err != nil {
		faults = append(faults, fmt.Errorf("%w: %w", ErrOptions, err))
	}
	return errors.Join(faults...)
}

func (o Options) mesh() mesh.Settings {
	s := mesh.Settings{TrustDomain: o.TrustDomain, ClusterDomain: o.ClusterDomain, RootNamespace: o.Namespace, Outbound: o.Outbound, Inbound: o.Inbound, Combine: o.Combine, AccessLog: o.AccessLog}
	if o.Tracing != "" {
		t, _, _ := readTracing(o.Tracing) // whose errors check tells, and notes translate
		s.Tracing = &t
	}
	return s
}
