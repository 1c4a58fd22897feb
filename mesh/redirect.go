package mesh

// Redirect answers with another place. Empty parts stay as in the request.
type Redirect struct {
	Scheme string `json:"scheme,omitempty"`
	Host   string `json:"host,omitempty"`
	// Port of the new place. With 0 it is the request's where SamePort, the
	// scheme's own otherwise.
	Port     uint16 `json:"port,omitempty"`
	SamePort bool   `json:"samePort,omitempty"`
	// Path replaces all of it, PrefixPath what the match's prefix held.
	Path       string  `json:"path,omitempty"`
	PrefixPath *string `json:"prefixPath,omitempty"`
	// Status is 301, 302, 303, 307 or 308.
	Status uint32 `json:"status"`
}

// DirectResponse answers without a backend (VirtualService directResponse).
type DirectResponse struct {
	Status uint32 `json:"status"`
	Body   string `json:"body,omitempty"`
}

// Rewrite changes what the backend sees of a request.
type Rewrite struct {
	// Host replaces the authority.
	Host string `json:"host,omitempty"`
	// One of these at most: Path replaces all of the path, PrefixPath what the
	// match's prefix held, Regex what the expression finds (with \1 and so on
	// in Substitution).
	Path         string  `json:"path,omitempty"`
	PrefixPath   *string `json:"prefixPath,omitempty"`
	Regex        string  `json:"regex,omitempty"`
	Substitution string  `json:"substitution,omitempty"`
	Origin       Origin  `json:"origin"`
}
