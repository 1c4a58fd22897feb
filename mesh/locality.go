package mesh

import "strings"

// Locality is where something runs; parts may be unknown.
type Locality struct {
	Region  string `json:"region,omitempty"`
	Zone    string `json:"zone,omitempty"`
	Subzone string `json:"subzone,omitempty"`
}

// ParseLocality reads region/zone/subzone.
func ParseLocality(s string) Locality {
	parts := append(strings.SplitN(s, "/", 3), "", "", "")
	return Locality{parts[0], parts[1], parts[2]}
}

// ParseDottedLocality reads region.zone.subzone, as labels must be written;
// slashes are understood too.
func ParseDottedLocality(s string) Locality {
	if strings.Contains(s, "/") {
		return ParseLocality(s)
	}
	return ParseLocality(strings.Replace(s, ".", "/", 2))
}

// String returns region/zone/subzone without the empty end.
func (l Locality) String() string {
	return strings.TrimRight(l.Region+"/"+l.Zone+"/"+l.Subzone, "/")
}
