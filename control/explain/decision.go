package explain

import (
	"fmt"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// Decision is what happens to a request. Parts that it does not come to are
// empty.
type Decision struct {
	Client   Client   `json:"client"`
	Request  Request  `json:"request"`
	Target   Target   `json:"target"`
	Listener Listener `json:"listener"`
	Route    *Route   `json:"route,omitempty"`
	// Together are objects of one kind for the host that are all in effect.
	Together []Source `json:"together,omitempty"`
	// Losers are what objects ask for and what is not in effect.
	Losers []Loser `json:"losers,omitempty"`
	// Problems are all others of the objects that speak of the destination.
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is one, with the place that it is in.
type Problem struct {
	mesh.Problem
	Source Source `json:"source"`
}

// Client is who sends the request.
type Client struct {
	mesh.Ref
	Owner string `json:"owner,omitempty"`
	// Meshed says whether a proxy stands beside it; without one nothing of what
	// follows happens.
	Meshed bool              `json:"meshed"`
	Labels map[string]string `json:"labels,omitempty"`
	// Sidecar limits what it sees.
	Sidecar *Source `json:"sidecar,omitempty"`
}

// Request is what is sent.
type Request struct {
	Method string `json:"method"`
	Scheme string `json:"scheme"`
	// Authority as the client writes it.
	Authority string `json:"authority"`
	Host      string `json:"-"`
	Port      uint16 `json:"-"`
	// Target is the path with its query.
	Target  string        `json:"target"`
	Headers []mesh.Header `json:"headers,omitempty"`
}

// Target is what the name in the request means.
type Target struct {
	// Name is fully qualified, or an address.
	Name string `json:"name"`
	Port uint16 `json:"port"`
	// How the name came to mean that.
	How     string           `json:"how"`
	Service *mesh.Ref        `json:"service,omitempty"`
	Kind    mesh.ServiceKind `json:"kind,omitempty"`
	// Pod is set where the address is that of one.
	Pod       *mesh.Ref `json:"pod,omitempty"`
	Addresses []string  `json:"addresses,omitempty"`
	Source    Source    `json:"source"`
}

// Fate is what becomes of the connection.
type Fate string

const (
	// Requests are told apart and follow rules.
	Requests Fate = "requests"
	// Connection is carried as a whole.
	Connection Fate = "connection"
	// Passthrough goes to its original address, outside of the mesh.
	Passthrough Fate = "passthrough"
	// Refused goes nowhere.
	Refused Fate = "refused"
)

// Listener is how the client's proxy takes the connection.
type Listener struct {
	// Name as proxies know it.
	Name     string        `json:"name"`
	Protocol mesh.Protocol `json:"protocol,omitempty"`
	Fate     Fate          `json:"fate"`
	// Note says why.
	Note   string `json:"note,omitempty"`
	Source Source `json:"source"`
}

// Route is the list of rules and the one that holds.
type Route struct {
	Name string `json:"name"`
	// Scope is the namespace whose clients alone it binds; empty means all.
	Scope string `json:"scope,omitempty"`
	Rules int    `json:"rules"`
	// Earlier are the rules that were asked first, and why they do not hold.
	Earlier []Earlier `json:"earlier,omitempty"`
	// Rule is the one that holds; nil where none does.
	Rule *Rule `json:"rule,omitempty"`
	// Answer is what the client gets where nothing is sent on.
	Answer string `json:"answer,omitempty"`
	// Later is the number of rules that were not asked any more.
	Later int `json:"later,omitempty"`
}

// Earlier is a rule that does not hold.
type Earlier struct {
	Rule int    `json:"rule"`
	Name string `json:"name,omitempty"`
	// Why has one entry for each alternative match.
	Why    []string `json:"why"`
	Source Source   `json:"source"`
}

// Rule is the one that holds.
type Rule struct {
	Rule int    `json:"rule"`
	Name string `json:"name,omitempty"`
	// Match is the alternative that holds.
	Match    string    `json:"match"`
	Backends []Backend `json:"backends,omitempty"`
	Settings []Setting `json:"settings,omitempty"`
	Source   Source    `json:"source"`
}

// Setting is one thing that is done, and who says so; without a source it is
// what proxies do where nobody says anything.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source Source `json:"source"`
}

// Backend is one place where the request may go.
type Backend struct {
	Service mesh.Ref `json:"service"`
	Host    string   `json:"host,omitempty"`
	Port    uint16   `json:"port"`
	Subset  string   `json:"subset,omitempty"`
	Weight  uint32   `json:"weight"`
	// Percent of the requests.
	Percent float64 `json:"percent"`
	// Labels that endpoints of the subset have.
	Labels map[string]string `json:"labels,omitempty"`
	// Invalid says why it cannot be used.
	Invalid string `json:"invalid,omitempty"`
	// Status is what its share of the requests is answered then.
	Status    int        `json:"status,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
	// Note is about the endpoints.
	Note     string    `json:"note,omitempty"`
	Settings []Setting `json:"settings,omitempty"`
	Source   Source    `json:"source"`
}

// Endpoint is one instance.
type Endpoint struct {
	Address  string      `json:"address"`
	Workload string      `json:"workload,omitempty"`
	Owner    string      `json:"owner,omitempty"`
	Identity string      `json:"identity,omitempty"`
	Health   mesh.Health `json:"health,omitempty"`
	Weight   uint32      `json:"weight,omitempty"`
	Zone     string      `json:"zone,omitempty"`
}

// Loser is something that is not in effect.
type Loser struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Source  Source `json:"source"`
}

// Source is the object, and the field of it, that says something.
type Source struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Field     string `json:"field,omitempty"`
	// File is empty for an object of the cluster.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Version is the resourceVersion of an object of the cluster.
	Version string `json:"resourceVersion,omitempty"`
}

// IsZero says whether nobody says it.
func (s Source) IsZero() bool { return s == Source{} }

// Object is kind namespace/name.
func (s Source) Object() string {
	name := s.Name
	if s.Namespace != "" {
		name = s.Namespace + "/" + s.Name
	}
	return strings.TrimSpace(s.Kind + " " + name)
}

// Place is file:line, or the version of an object of the cluster.
func (s Source) Place() string {
	switch {
	case s.IsZero():
		return ""
	case s.File == "" && s.Version == "":
		return "live"
	case s.File == "":
		return "version " + s.Version
	case s.Line == 0:
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// String is for instance "VirtualService shop/api spec.http[0] (api.yaml:7)".
func (s Source) String() string {
	if s.IsZero() {
		return "default"
	}
	out := s.Object()
	if s.Field != "" {
		out += " " + s.Field
	}
	return out + " (" + s.Place() + ")"
}
