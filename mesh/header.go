package mesh

// HeaderChanges are done in the order set, add, remove. Names are in lower case.
type HeaderChanges struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// IsZero says whether nothing changes.
func (h HeaderChanges) IsZero() bool { return len(h.Set)+len(h.Add)+len(h.Remove) == 0 }

// Header is one field.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
