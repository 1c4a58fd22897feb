package objects

import (
	"bytes"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// templateKinds are the kinds that describe pods.
var templateKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}

func template(kind string) bool { return slices.Contains(templateKinds, kind) }

// meta is the part of an object's or pod's metadata that matters.
type meta struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// podTemplate is a pod that is described.
type podTemplate struct {
	Metadata meta `yaml:"metadata"`
	Spec     struct {
		ServiceAccountName string `yaml:"serviceAccountName"`
	} `yaml:"spec"`
}

// workloads finds what is described in a document, as clients to ask for. They
// are taken to get a proxy unless they refuse one. Documents that cannot be
// read have been reported by the decoder.
func workloads(doc document, s mesh.Settings) []mesh.Workload {
	var out []mesh.Workload
	dec := yaml.NewDecoder(bytes.NewReader(doc.raw))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return out
		}
		out = append(out, described(&n, doc.name, s)...)
	}
}

func described(n *yaml.Node, name string, s mesh.Settings) []mesh.Workload {
	var o struct {
		Kind     string      `yaml:"kind"`
		Metadata meta        `yaml:"metadata"`
		Items    []yaml.Node `yaml:"items"`
		Spec     struct {
			Template    *podTemplate `yaml:"template"`
			JobTemplate struct {
				Spec struct {
					Template *podTemplate `yaml:"template"`
				} `yaml:"spec"`
			} `yaml:"jobTemplate"`
		} `yaml:"spec"`
	}
	// What is of another shape is no template.
	if n.Decode(&o) != nil {
		return nil
	}
	var out []mesh.Workload
	for i := range o.Items {
		out = append(out, described(&o.Items[i], name, s)...)
	}
	t := o.Spec.Template
	if o.Kind == "CronJob" {
		t = o.Spec.JobTemplate.Spec.Template
	}
	if !template(o.Kind) || t == nil {
		return out
	}
	w := mesh.Workload{Ref: mesh.Ref{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}, Owner: strings.ToLower(o.Kind) + "/" + o.Metadata.Name, Labels: t.Metadata.Labels, Meshed: true}
	if w.Namespace == "" {
		w.Namespace = "default"
	}
	line := n.Line
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		line = n.Content[0].Line
	}
	w.Origin = mesh.Origin{Kind: o.Kind, Namespace: w.Namespace, Name: w.Name, File: name, Line: line}
	for _, k := range []string{"weft.mesh/inject", "linkerd.io/inject", "sidecar.istio.io/inject"} {
		if v := t.Metadata.Annotations[k]; v == "disabled" || v == "false" {
			w.Meshed = false
		}
	}
	account := t.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	// One that makes no identity is reported where the pods run.
	w.Identity, _ = identity.NewID(s.TrustDomain, w.Namespace, account)
	return append(out, w)
}
