package problem

import "github.com/weftmesh/weft/mesh"

// Code is the stable number of one kind of problem.
type Code string

// Entry explains a code.
type Entry struct {
	Code     Code
	Severity mesh.Severity
	Title    string
	// Meaning says what happens instead, for docs/problems.md.
	Meaning string
}

// Codes of the sources: what cannot be read.
const (
	Malformed       Code = "WEFT0001"
	UnknownField    Code = "WEFT0002"
	UnknownKind     Code = "WEFT0003"
	DuplicateObject Code = "WEFT0004"
	BadObject       Code = "WEFT0005"
	Unreadable      Code = "WEFT0006"
	WatchFailed     Code = "WEFT0007"
)

// Codes of services and workloads.
const (
	UnknownAppProtocol Code = "WEFT0101"
	BadOpaquePorts     Code = "WEFT0102"
	BadAddress         Code = "WEFT0103"
	AddressTaken       Code = "WEFT0104"
	BadIdentity        Code = "WEFT0105"
	NoExternalName     Code = "WEFT0106"
	UnknownTargetPort  Code = "WEFT0107"
)

// Codes of traffic splits.
const (
	BadWeight            Code = "WEFT0201"
	AllWeightsZero       Code = "WEFT0202"
	RootMissing          Code = "WEFT0203"
	BackendMissing       Code = "WEFT0204"
	BackendPortMissing   Code = "WEFT0205"
	DuplicateSplit       Code = "WEFT0206"
	SelfReference        Code = "WEFT0207"
	SplitMatches         Code = "WEFT0208"
	NoBackends           Code = "WEFT0209"
	DuplicateBackend     Code = "WEFT0210"
	ChainedSplit         Code = "WEFT0211"
	SplitWithoutPorts    Code = "WEFT0212"
	OutrankedByHTTPRoute Code = "WEFT0213"
)

// Codes of the Gateway API's routes.
const (
	ParentMissing        Code = "WEFT0301"
	ParentPortMissing    Code = "WEFT0302"
	ParentPortNotHTTP    Code = "WEFT0303"
	ParentUnsupported    Code = "WEFT0304"
	RouteBackend         Code = "WEFT0305"
	RouteBackendKind     Code = "WEFT0306"
	RefNotPermitted      Code = "WEFT0307"
	UnsupportedFilter    Code = "WEFT0308"
	UnsupportedField     Code = "WEFT0309"
	BadMatch             Code = "WEFT0310"
	RouteWeight          Code = "WEFT0311"
	RouteWeightsZero     Code = "WEFT0312"
	HostnamesIgnored     Code = "WEFT0313"
	BackendProtocol      Code = "WEFT0314"
	RuleWithoutBackend   Code = "WEFT0315"
	BadHeaderChange      Code = "WEFT0316"
	ParentPortHTTP       Code = "WEFT0317"
	RouteKindConflict    Code = "WEFT0318"
	RuleShadowed         Code = "WEFT0319"
	RedirectWithBackends Code = "WEFT0320"
	BadTimeout           Code = "WEFT0321"
)

// Codes of Istio's objects that are ours.
const (
	OutrankedVirtualService   Code = "WEFT0401"
	OutrankedByVirtualService Code = "WEFT0402"
	RulesCombined             Code = "WEFT0403"
	RuleConflict              Code = "WEFT0404"
	IstioUnsupported          Code = "WEFT0405"
	BadDelegate               Code = "WEFT0406"
	GatewayOnly               Code = "WEFT0407"
	EntryShadowed             Code = "WEFT0408"
	SubsetUnknown             Code = "WEFT0409"
	ChangeHeld                Code = "WEFT0410"
	RuleWithoutPort           Code = "WEFT0411"
)

// New makes a problem of a code; its severity is that of the table. An unknown
// code counts as an Error, so that no problem can be lost.
func New(c Code, origin mesh.Origin, field, message, remedy string) mesh.Problem {
	sev := mesh.Error
	if e, ok := Find(c); ok {
		sev = e.Severity
	}
	return mesh.Problem{Severity: sev, Code: string(c), Origin: origin, Field: field, Message: message, Remedy: remedy}
}

// Find returns the entry of a code.
func Find(c Code) (Entry, bool) {
	for i := range Table {
		if Table[i].Code == c {
			return Table[i], true
		}
	}
	return Entry{}, false
}
