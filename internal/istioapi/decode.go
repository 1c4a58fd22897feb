package istioapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/internal/apifield"
)

// Errors of Decode; errors.Is finds them under a FieldError.
var (
	// ErrKind means that kind is none of Kinds, or apiVersion none of Versions.
	ErrKind = errors.New("not an object of " + Group + " that can be read")
	// ErrJSON means that the document is not JSON of the right shape.
	ErrJSON = errors.New("cannot be decoded")
	// ErrValue means that a field has a value that it cannot have.
	ErrValue = errors.New("bad value")
	// ErrMissing means that a required field is missing.
	ErrMissing = errors.New("required field is missing")
	// ErrUnknown means that there is no such field.
	ErrUnknown = errors.New("unknown field")
)

// FieldError says which field is wrong.
type FieldError = apifield.Error

// Decode reads an object of any kind and version from JSON. Unknown fields are
// returned for themselves, as *FieldError of ErrUnknown; all else that is wrong
// is returned as FieldErrors joined by errors.Join.
func Decode(doc []byte) (obj metav1.Object, unknown []error, err error) {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
		Spec            json.RawMessage   `json:"spec"`
	}
	if err := json.Unmarshal(doc, &head); err != nil {
		return nil, nil, &FieldError{Field: "", Err: fmt.Errorf("%w: %w", ErrJSON, err)}
	}
	group, version, _ := strings.Cut(head.APIVersion, "/")
	kind, ok := KindOf(head.Kind)
	if !ok || group != kind.Group() || !slices.Contains(kind.Versions(), version) {
		return nil, nil, &FieldError{Field: "apiVersion", Err: fmt.Errorf("%s of %q is %w", head.Kind, head.APIVersion, ErrKind)}
	}
	o := kind.make()
	typ, meta := o.meta()
	*typ, *meta = head.TypeMeta, head.Metadata
	dec := json.NewDecoder(bytes.NewReader(head.Spec))
	dec.UseNumber()
	var spec map[string]any
	if len(head.Spec) > 0 {
		if err := dec.Decode(&spec); err != nil {
			return nil, nil, &FieldError{Field: "spec", Err: fmt.Errorf("%w: an object belongs here", ErrValue)}
		}
	}
	f := filler{}
	f.message(o.spec().ProtoReflect(), spec, "spec")
	f.others(doc)
	if len(f.errs) > 0 {
		return nil, f.unknown, errors.Join(f.errs...)
	}
	return o, f.unknown, nil
}

// others finds unknown fields beside the spec.
func (f *filler) others(doc []byte) {
	var all map[string]json.RawMessage
	if json.Unmarshal(doc, &all) != nil {
		return
	}
	for name := range all {
		switch name {
		case "apiVersion", "kind", "metadata", "spec", "status":
		default:
			f.unknown = append(f.unknown, &FieldError{Field: name, Err: ErrUnknown})
		}
	}
}
