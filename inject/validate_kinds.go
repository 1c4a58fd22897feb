package inject

import (
	"encoding/json"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"
)

// split is the part of a TrafficSplit (SMI, v1alpha1 to v1alpha4) that is judged.
type split struct {
	Service  string `json:"service"`
	Backends []struct {
		Service string          `json:"service"`
		Weight  json.RawMessage `json:"weight"`
	} `json:"backends"`
}

func checkSplit(spec json.RawMessage, namespace string, find finder, f *findings) {
	var s split
	if err := json.Unmarshal(spec, &s); err != nil {
		f.fault("spec", "cannot be read (%s); see the TrafficSplit of split.smi-spec.io", err.Error())
		return
	}
	if s.Service == "" {
		f.fault("spec.service", "is empty; name the service whose traffic is split")
	} else if find.missing(namespace, s.Service) {
		f.warn("spec.service", "service %s does not exist in namespace %s yet; the split has no effect until it does", s.Service, namespace)
	}
	if len(s.Backends) == 0 {
		f.fault("spec.backends", "is empty; name at least one backend")
	}
	positive := false
	for i, b := range s.Backends {
		at := fmt.Sprintf("spec.backends[%d]", i)
		if b.Service == "" {
			f.fault(at+".service", "is empty; name a service")
		} else if find.missing(namespace, b.Service) {
			f.warn(at+".service", "service %s does not exist in namespace %s yet; until it does it receives nothing and the other backends share its part", b.Service, namespace)
		}
		if checkWeight(at+".weight", b.Weight, f) {
			positive = true
		}
	}
	if !positive && len(f.faults) == 0 {
		f.warn("spec.backends", "all weights are zero: the split is not in effect and service %s receives its own traffic; give one backend a weight above 0", s.Service)
	}
}

// checkWeight reads an integer or a quantity such as 900m, as a JSON number or
// string, and says whether it is above zero. A weight that is absent is zero.
func checkWeight(field string, raw json.RawMessage, f *findings) (positive bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return false
	}
	text := string(raw)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		text = s
	}
	q, err := resource.ParseQuantity(text)
	switch {
	case err != nil:
		f.fault(field, "%s is not a number; use an integer such as 90 or a quantity such as 900m", string(raw))
	case q.Sign() < 0:
		f.fault(field, "%s is negative; use 0 or more", text)
	case q.CmpInt64(maxWeight) > 0:
		f.fault(field, "%s is too large; use at most 1000000", text)
	}
	return err == nil && q.Sign() > 0
}

// maxWeight is the Gateway API's largest weight, which suits SMI as well.
const maxWeight = 1_000_000

// httpRoute is the part of an HTTPRoute (Gateway API v1) that is judged.
type httpRoute struct {
	ParentRefs []reference `json:"parentRefs"`
	Rules      []struct {
		Matches []struct {
			Path        *stringMatch  `json:"path"`
			Headers     []stringMatch `json:"headers"`
			QueryParams []stringMatch `json:"queryParams"`
		} `json:"matches"`
		BackendRefs []reference `json:"backendRefs"`
	} `json:"rules"`
}

type reference struct {
	Group     *string         `json:"group"`
	Kind      *string         `json:"kind"`
	Namespace *string         `json:"namespace"`
	Name      string          `json:"name"`
	Weight    json.RawMessage `json:"weight"`
}

type stringMatch struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// service says whether the reference is to a core Service, given the default kind.
func (r reference) service(def string) bool {
	kind := def
	if r.Kind != nil {
		kind = *r.Kind
	}
	return kind == "Service" && (r.Group == nil || *r.Group == "" || *r.Group == "core")
}

func (r reference) namespace(own string) string {
	if r.Namespace != nil && *r.Namespace != "" {
		return *r.Namespace
	}
	return own
}

// checkHTTPRoute judges routes of the mesh, which hang on a Service; routes of
// a Gateway are its controller's business.
func checkHTTPRoute(spec json.RawMessage, namespace string, find finder, f *findings) {
	var r httpRoute
	if err := json.Unmarshal(spec, &r); err != nil {
		f.fault("spec", "cannot be read (%s); see the HTTPRoute of gateway.networking.k8s.io", err.Error())
		return
	}
	mesh := false
	for i, p := range r.ParentRefs {
		// The default kind of a parent is Gateway.
		if p.service("Gateway") {
			mesh = true
			if ns := p.namespace(namespace); find.missing(ns, p.Name) {
				f.warn(fmt.Sprintf("spec.parentRefs[%d].name", i), "service %s does not exist in namespace %s yet; the route has no effect until it does", p.Name, ns)
			}
		}
	}
	if !mesh {
		return
	}
	for i, rule := range r.Rules {
		at := fmt.Sprintf("spec.rules[%d]", i)
		positive := false
		for j, b := range rule.BackendRefs {
			field := fmt.Sprintf("%s.backendRefs[%d]", at, j)
			// A weight that is absent is 1.
			if len(b.Weight) == 0 || string(b.Weight) == "null" || checkWeight(field+".weight", b.Weight, f) {
				positive = true
			}
			if ns := b.namespace(namespace); b.service("Service") && find.missing(ns, b.Name) {
				f.warn(field+".name", "service %s does not exist in namespace %s yet; its share of the requests is answered 500 until it does", b.Name, ns)
			}
		}
		if len(rule.BackendRefs) > 0 && !positive && len(f.faults) == 0 {
			f.warn(at+".backendRefs", "all weights are zero: every request of this rule will be answered 500; give one backend a weight above 0")
		}
		for j, m := range rule.Matches {
			field := fmt.Sprintf("%s.matches[%d]", at, j)
			if m.Path != nil {
				checkPattern(field+".path.value", *m.Path, f)
			}
			for k, h := range m.Headers {
				checkPattern(fmt.Sprintf("%s.headers[%d].value", field, k), h, f)
			}
			for k, q := range m.QueryParams {
				checkPattern(fmt.Sprintf("%s.queryParams[%d].value", field, k), q, f)
			}
		}
	}
}

func checkPattern(field string, m stringMatch, f *findings) {
	if m.Type != "RegularExpression" {
		return
	}
	if _, err := regexp.Compile(m.Value); err != nil {
		f.fault(field, "%s; use the syntax of RE2", err.Error())
	}
}
