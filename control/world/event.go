package world

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/mesh"
)

// Event is one change that a source saw. Make it with Put, Delete, Synced or
// Problems.
type Event struct {
	op       op
	obj      metav1.Object
	origin   mesh.Origin
	place    *Place
	kind     Kind
	ref      mesh.Ref
	source   string
	scope    string
	problems []mesh.Problem
}

type op int

const (
	opPut op = iota + 1
	opDelete
	opSynced
	opProblems
)

// Put says that the object exists in this form. Its type must be one of
// World's tables (a pointer); the source gives it away and never changes it again.
func Put(obj metav1.Object, origin mesh.Origin) Event {
	return Event{op: opPut, obj: obj, origin: origin}
}

// PutAt is Put for an object whose fields have lines.
func PutAt(obj metav1.Object, origin mesh.Origin, place *Place) Event {
	return Event{op: opPut, obj: obj, origin: origin, place: place}
}

// Delete says that the object is gone.
func Delete(kind Kind, ref mesh.Ref) Event { return Event{op: opDelete, kind: kind, ref: ref} }

// Synced says that the source has told everything that it found at its start.
func Synced(source string) Event { return Event{op: opSynced, source: source} }

// IsSynced says whether the event is of Synced.
func (e Event) IsSynced() bool { return e.op == opSynced }

// Problems replaces what the source reported for a scope before, such as a
// file or a resource; an empty list clears it.
func Problems(source, scope string, list []mesh.Problem) Event {
	return Event{op: opProblems, source: source, scope: scope, problems: list}
}
