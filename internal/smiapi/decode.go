package smiapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"

	"github.com/weftmesh/weft/internal/apifield"
)

// MaxMilliWeight is the largest weight, in thousandths: the sum of the weights
// of a split must stay within 32 bits.
const MaxMilliWeight = 1_000_000_000

// Errors of Decode; errors.Is finds them under a FieldError.
var (
	// ErrVersion means that apiVersion is none of Versions.
	ErrVersion = errors.New("not a version of " + Group + " that can be read")
	// ErrWeight means that a weight is negative, too large or not a number.
	ErrWeight = errors.New("bad weight")
	// ErrMissing means that a required field is empty.
	ErrMissing = errors.New("required field is missing")
	// ErrJSON means that the document is not JSON of the right shape.
	ErrJSON = errors.New("cannot be decoded")
)

// FieldError says which field is wrong.
type FieldError = apifield.Error

// Wire is the form on the wire of every version, for those who look for
// unknown fields.
type Wire struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              WireSpec        `json:"spec"`
	Status            json.RawMessage `json:"status,omitempty"`
}

// WireSpec is the spec; matches came with v1alpha2.
type WireSpec struct {
	Service  string        `json:"service"`
	Backends []WireBackend `json:"backends"`
	Matches  []WireMatch   `json:"matches,omitempty"`
}

// WireBackend has a weight that is a quantity in v1alpha1 and an integer later.
type WireBackend struct {
	Service string          `json:"service"`
	Weight  json.RawMessage `json:"weight,omitempty"`
}

// WireMatch is a reference to an object of the same namespace.
type WireMatch struct {
	APIGroup string `json:"apiGroup,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Decode reads a TrafficSplit of any version from JSON. All that is wrong with
// its fields is returned, as FieldErrors joined by errors.Join.
func Decode(doc []byte) (*TrafficSplit, error) {
	var w Wire
	// As the API server reads it: names of fields are case-sensitive.
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(doc, &w); err != nil {
		return nil, &FieldError{Field: "", Err: fmt.Errorf("%w: %w", ErrJSON, err)}
	}
	version, ok := strings.CutPrefix(w.APIVersion, Group+"/")
	if !ok || !slices.Contains(Versions, version) {
		return nil, &FieldError{Field: "apiVersion", Err: fmt.Errorf("%q is %w", w.APIVersion, ErrVersion)}
	}
	// The specification lets the root be written as a DNS name; only its
	// first label names the Service.
	out := &TrafficSplit{TypeMeta: w.TypeMeta, ObjectMeta: w.ObjectMeta, Service: serviceName(w.Spec.Service)}
	var errs []error
	fail := func(field string, err error) { errs = append(errs, &FieldError{Field: field, Err: err}) }
	if out.Service == "" {
		fail("spec.service", ErrMissing)
	}
	if len(w.Spec.Backends) == 0 {
		fail("spec.backends", ErrMissing)
	}
	for i, b := range w.Spec.Backends {
		at := fmt.Sprintf("spec.backends[%d]", i)
		name := serviceName(b.Service)
		if name == "" {
			fail(at+".service", ErrMissing)
		}
		milli, err := parseWeight(b.Weight)
		if err != nil {
			fail(at+".weight", err)
		}
		out.Backends = append(out.Backends, Backend{name, milli})
	}
	for _, m := range w.Spec.Matches {
		out.Matches = append(out.Matches, Match(m))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// serviceName takes the Service out of api, api.production or
// api.production.svc.cluster.local; a split cannot leave its namespace.
func serviceName(s string) string {
	name, _, _ := strings.Cut(s, ".")
	return name
}

func parseWeight(raw json.RawMessage) (int64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, fmt.Errorf("%w: %w", ErrWeight, ErrMissing)
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrWeight, err)
		}
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%w %q: write an integer such as 90 or a quantity such as 900m", ErrWeight, text)
	}
	switch {
	case q.Sign() < 0:
		return 0, fmt.Errorf("%w %q: it is negative", ErrWeight, text)
	case q.Cmp(*resource.NewMilliQuantity(MaxMilliWeight, resource.DecimalSI)) > 0:
		return 0, fmt.Errorf("%w %q: the largest is %d", ErrWeight, text, MaxMilliWeight/1000)
	}
	return q.MilliValue(), nil
}
