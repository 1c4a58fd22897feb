package local

import (
	"os"
	"strconv"

	"sigs.k8s.io/yaml"
)

type splitBackend struct {
	root, backend string
	weight        int
}

// readSplit reads the weights of the demo's split for the table. What the
// control plane makes of the file is its own affair; while the file is
// malformed the table shows no split.
func readSplit(path string) []splitBackend {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var ts struct {
		Spec struct {
			Service  string `json:"service"`
			Backends []struct {
				Service string        `json:"service"`
				Weight  intOrQuantity `json:"weight"`
			} `json:"backends"`
		} `json:"spec"`
	}
	if yaml.Unmarshal(b, &ts) != nil {
		return nil
	}
	var out []splitBackend
	for _, x := range ts.Spec.Backends {
		out = append(out, splitBackend{ts.Spec.Service, x.Service, int(x.Weight)})
	}
	return out
}

// intOrQuantity reads 90 and "900m" alike.
type intOrQuantity int

func (i *intOrQuantity) UnmarshalJSON(b []byte) error {
	s := string(b)
	if u, err := strconv.Unquote(s); err == nil {
		s = u
	}
	if n := len(s); n > 0 && s[n-1] == 'm' {
		s = s[:n-1]
	}
	v, err := strconv.Atoi(s)
	*i = intOrQuantity(v)
	return err
}
