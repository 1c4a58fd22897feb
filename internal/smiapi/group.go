package smiapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"

	"github.com/weftmesh/weft/internal/apifield"
)

// Names of the API of route groups.
const (
	SpecsGroup    = "specs.smi-spec.io"
	GroupKind     = "HTTPRouteGroup"
	GroupResource = "httproutegroups"
)

// GroupVersions that can be read, the newest first.
var GroupVersions = []string{"v1alpha4", "v1alpha3"}

// ErrValue means that a field has a value that it cannot have.
var ErrValue = errors.New("bad value")

// HTTPRouteGroup describes requests; one of its matches must hold.
type HTTPRouteGroup struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Matches []HTTPMatch
}

// HTTPMatch holds where all that it says holds.
type HTTPMatch struct {
	Name string
	// PathRegex must hold for the whole path.
	PathRegex string
	// Methods of which one must hold; none means any.
	Methods []string
	// Headers must all hold; sorted by name, which is in lower case.
	Headers []HeaderRegex
}

// HeaderRegex must hold for the whole value of a header field.
type HeaderRegex struct{ Name, Regex string }

// GroupWire is the form on the wire, for those who look for unknown fields.
type GroupWire struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              GroupWireSpec `json:"spec"`
}

// GroupWireSpec is the spec.
type GroupWireSpec struct {
	Matches []GroupWireMatch `json:"matches"`
}

// GroupWireMatch has headers that are an object, or a list of objects.
type GroupWireMatch struct {
	Name      string          `json:"name,omitempty"`
	PathRegex string          `json:"pathRegex,omitempty"`
	Methods   []string        `json:"methods,omitempty"`
	Headers   json.RawMessage `json:"headers,omitempty"`
}

// DecodeGroup reads an HTTPRouteGroup of any version from JSON. Unknown fields
// are returned for themselves; all else that is wrong is returned as
// FieldErrors joined by errors.Join.
func DecodeGroup(doc []byte) (g *HTTPRouteGroup, unknown []error, err error) {
	var w GroupWire
	if unknown, err = sigsjson.UnmarshalStrict(doc, &w); err != nil {
		return nil, nil, &FieldError{Field: "", Err: fmt.Errorf("%w: %w", ErrJSON, err)}
	}
	version, ok := strings.CutPrefix(w.APIVersion, SpecsGroup+"/")
	if !ok || !slices.Contains(GroupVersions, version) {
		return nil, nil, &FieldError{Field: "apiVersion", Err: fmt.Errorf("%q is not a version of %s that can be read: %w", w.APIVersion, SpecsGroup, ErrVersion)}
	}
	g = &HTTPRouteGroup{TypeMeta: w.TypeMeta, ObjectMeta: w.ObjectMeta}
	var errs []error
	fail := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{Field: field, Err: fmt.Errorf("%w: %s", ErrValue, fmt.Sprintf(format, args...))})
	}
	expression := func(field, v string) {
		if err := apifield.Expression(v); err != nil {
			fail(field, "%.100q is not a regular expression: %s", v, err)
		}
	}
	if len(w.Spec.Matches) == 0 {
		errs = append(errs, &FieldError{Field: "spec.matches", Err: ErrMissing})
	}
	for i, in := range w.Spec.Matches {
		at := fmt.Sprintf("spec.matches[%d]", i)
		m := HTTPMatch{Name: in.Name, PathRegex: in.PathRegex}
		expression(at+".pathRegex", in.PathRegex)
		for j, method := range in.Methods {
			switch {
			case !apifield.Token(method):
				fail(fmt.Sprintf("%s.methods[%d]", at, j), "%q is not a method", method)
			case method == "*":
				m.Methods = []string{"*"}
			case !slices.Contains(m.Methods, "*"):
				m.Methods = append(m.Methods, method)
			}
		}
		if slices.Contains(m.Methods, "*") {
			m.Methods = nil
		}
		headers, err := readHeaders(in.Headers)
		if err != nil {
			fail(at+".headers", "%s", err)
		}
		for _, h := range headers {
			expression(at+".headers."+h.Name, h.Regex)
			if !apifield.Token(strings.TrimPrefix(h.Name, ":")) {
				fail(at+".headers."+h.Name, "%q is not a header name", h.Name)
			}
		}
		m.Headers = headers
		g.Matches = append(g.Matches, m)
	}
	if len(errs) > 0 {
		return nil, unknown, errors.Join(errs...)
	}
	return g, unknown, nil
}

// readHeaders reads {name: regex, ...} or [{name: regex}, ...].
func readHeaders(raw json.RawMessage) ([]HeaderRegex, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var list []map[string]string
	if raw[0] == '{' {
		list = make([]map[string]string, 1)
		if err := json.Unmarshal(raw, &list[0]); err != nil {
			return nil, errors.New("names and expressions belong here")
		}
	} else if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("names and expressions belong here")
	}
	var out []HeaderRegex
	for _, m := range list {
		for k, v := range m {
			out = append(out, HeaderRegex{strings.ToLower(k), v})
		}
	}
	slices.SortFunc(out, func(a, b HeaderRegex) int {
		return strings.Compare(a.Name+"\x00"+a.Regex, b.Name+"\x00"+b.Regex)
	})
	return out, nil
}
