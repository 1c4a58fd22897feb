package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// ErrObject means that what is to be judged is not an object.
var ErrObject = errors.New("not an object")

// Services says whether a service exists. It may answer from a cache.
type Services interface {
	HasService(ctx context.Context, namespace, name string) (bool, error)
}

// Judge judges objects. The zero value knows no services of the cluster.
type Judge struct {
	Settings mesh.Settings
	// Services may be nil: nothing is then said of services that do not exist.
	Services Services
}

// Judge looks at an object in JSON; old is what it replaces, or empty. A change
// that leaves a fault as it was passes with a warning. Objects of kinds that the
// mesh does not read, or of versions that it cannot, pass. Faults are why it is
// refused; warnings are shown in any case.
func (j Judge) Judge(ctx context.Context, object, old []byte) (faults, warnings []string, err error) {
	now, err := read(object)
	if err != nil {
		return nil, nil, err
	}
	var before *subject
	if len(old) > 0 {
		// An old object that cannot be read had no faults that could be known.
		before, _ = read(old)
	}
	if !now.ours() || before != nil && bytes.Equal(now.relevant, before.relevant) {
		return nil, nil, nil
	}
	known := map[string]int{}
	if before != nil {
		problems, _ := j.inspect(before)
		for _, p := range problems {
			if classify(p) == refused {
				known[fingerprint(p)]++
			}
		}
	}
	problems, whole := j.inspect(now)
	if !whole {
		warnings = append(warnings, "spec: it is too large to be judged whole; weft translate lists what is wrong")
	}
	for _, p := range problems {
		switch classify(p) {
		case refused:
			if f := fingerprint(p); known[f] > 0 {
				known[f]--
				warnings = append(warnings, "as before, "+sentence(p))
				continue
			}
			faults = append(faults, sentence(p))
		case warned:
			warnings = append(warnings, sentence(p))
		case elsewhere:
		}
	}
	warnings = append(warnings, j.missing(ctx, now)...)
	return distinct(faults), distinct(warnings), nil
}

// missing tells of services that are named and do not exist.
func (j Judge) missing(ctx context.Context, s *subject) []string {
	if j.Services == nil {
		return nil
	}
	var out []string
	for _, r := range s.references(j.domain()) {
		if !r.service() {
			continue
		}
		if ok, err := j.Services.HasService(ctx, r.ref.Namespace, r.ref.Name); err == nil && !ok {
			out = append(out, fmt.Sprintf("%s: service %s does not exist in namespace %s yet; this part has no effect until it does", r.field, r.ref.Name, r.ref.Namespace))
		}
	}
	return out
}

func (j Judge) domain() string {
	if j.Settings.ClusterDomain == "" {
		return "cluster.local"
	}
	return j.Settings.ClusterDomain
}

// inspect returns the problems of the object in its small world; whole is false
// where some of its rules are not looked at.
func (j Judge) inspect(s *subject) (problems []mesh.Problem, whole bool) {
	objects, problems, _ := file.Decode("object.json", s.doc)
	if slices.ContainsFunc(problems, func(p mesh.Problem) bool { return p.Field == "apiVersion" || p.Code == string(problem.UnknownKind) }) {
		return nil, true // another version, which the API server converts
	}
	whole = true
	settings := j.Settings
	settings.ClusterDomain = j.domain()
	if len(objects) == 1 {
		events := []world.Event{world.Put(objects[0].Obj, objects[0].Origin)}
		var standIns []metav1.Object
		if standIns, whole = s.standIns(settings); !whole && s.isRoute() {
			return problems, false
		}
		for _, o := range standIns {
			events = append(events, world.Put(o, mesh.Origin{Kind: "stand-in", Namespace: o.GetNamespace(), Name: o.GetName()}))
		}
		w, _ := world.Build(settings.TrustDomain, events...)
		o := objects[0].Origin
		for _, p := range translate.Build(w, settings).Problems {
			if p.Origin.Kind == o.Kind && p.Origin.Namespace == o.Namespace && p.Origin.Name == o.Name {
				problems = append(problems, p)
			}
		}
	}
	return problems, whole
}

// lastGood is how sources end their messages; there is no last state here.
var lastGood = regexp.MustCompile(`; (?:what it last said|the last good state of the (?:file|object)) stays in effect`)

// sentence is field: what is wrong; what to do.
func sentence(p mesh.Problem) string {
	out := lastGood.ReplaceAllString(p.Message, "")
	if p.Field != "" && !strings.HasPrefix(out, p.Field+":") {
		out = p.Field + ": " + out
	}
	if p.Remedy != "" {
		out += "; " + p.Remedy
	}
	return out
}

// position is one in a list; a fault that has moved is the same fault.
var position = regexp.MustCompile(`\[\d+\]`)

func fingerprint(p mesh.Problem) string {
	return p.Code + " " + position.ReplaceAllString(p.Field+" "+p.Message, "[]")
}

// distinct keeps the first of equal ones.
func distinct[T comparable](list []T) []T {
	var out []T
	seen := make(map[T]bool, len(list))
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// subject is an object to be judged.
type subject struct {
	doc []byte
	// relevant is what of it can make a difference.
	relevant  []byte
	kind      string
	group     string
	namespace string
	name      string
	spec      map[string]any
}

// read takes away what is none of the object's own words.
func read(raw []byte) (*subject, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var o map[string]any
	if err := dec.Decode(&o); err != nil || o == nil {
		return nil, fmt.Errorf("%w: %w", ErrObject, orNull(err))
	}
	delete(o, "status")
	s := &subject{}
	s.kind, _ = o["kind"].(string)
	version, _ := o["apiVersion"].(string)
	if group, _, grouped := strings.Cut(version, "/"); grouped {
		s.group = group
	}
	meta, _ := o["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		o["metadata"] = meta
	}
	annotations, _ := meta["annotations"].(map[string]any)
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	s.name, _ = meta["name"].(string)
	if s.name == "" {
		s.name = "generated"
	}
	if s.namespace, _ = meta["namespace"].(string); s.namespace == "" {
		s.namespace = "default"
	}
	own := map[string]any{"name": s.name, "namespace": s.namespace}
	if len(annotations) > 0 {
		own["annotations"] = annotations
	}
	o["metadata"] = own
	s.spec, _ = o["spec"].(map[string]any)
	var err error
	if s.doc, err = json.Marshal(o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrObject, err)
	}
	delete(o, "apiVersion")
	delete(own, "name")
	s.relevant, err = json.Marshal(o)
	return s, err
}

var errNull = errors.New("it is null")

func orNull(err error) error {
	if err == nil {
		return errNull
	}
	return err
}
