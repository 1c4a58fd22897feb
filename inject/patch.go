package inject

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Operation is one step of a JSON patch (RFC 6902, section 4).
type Operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Patch is a list of steps that keep everything they do not name, so that
// fields which this build does not know yet survive.
type Patch []Operation

// JSON encodes the patch.
func (p Patch) JSON() ([]byte, error) { return json.Marshal(p) }

// add appends an operation that sets, or inserts into a list, the value at the
// path made of the given segments.
func (p *Patch) add(value json.Marshaler, segments ...string) error {
	raw, err := value.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encode the value for %s: %w", pointer(segments), err)
	}
	*p = append(*p, Operation{Op: "add", Path: pointer(segments), Value: raw})
	return nil
}

// addStrings sets the entries of a map of strings, and makes the map where there is none.
func (p *Patch) addStrings(have, want map[string]string, segments ...string) error {
	if len(want) == 0 {
		return nil
	}
	if have == nil {
		return p.add(asJSON(want), segments...)
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := have[k]; ok && v == want[k] {
			continue
		}
		if err := p.add(asJSON(want[k]), append(slices.Clone(segments), k)...); err != nil {
			return err
		}
	}
	return nil
}

// insert puts items into a list at an index, and makes the list where it is empty.
func insert[T any](p *Patch, have int, at int, items []T, segments ...string) error {
	if have == 0 {
		return p.add(asJSON(items), segments...)
	}
	for i, it := range items {
		if err := p.add(asJSON(it), append(slices.Clone(segments), fmt.Sprint(at+i))...); err != nil {
			return err
		}
	}
	return nil
}

// encoded is a value on its way to JSON.
type encoded[T any] struct{ v T }

func (e encoded[T]) MarshalJSON() ([]byte, error) { return json.Marshal(e.v) }

func asJSON[T any](v T) json.Marshaler { return encoded[T]{v} }

// pointer writes a JSON pointer (RFC 6901, section 3).
func pointer(segments []string) string {
	esc := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(esc.Replace(s))
	}
	return b.String()
}
