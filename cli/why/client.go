package why

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weftmesh/weft/cli/objects"
	"github.com/weftmesh/weft/mesh"
)

// kinds are the words for kinds of workloads, by what people type.
var kinds = map[string]string{
	"po": "pod", "pods": "pod", "deploy": "deployment", "deployments": "deployment", "sts": "statefulset", "statefulsets": "statefulset",
	"ds": "daemonset", "daemonsets": "daemonset", "rs": "replicaset", "replicasets": "replicaset", "jobs": "job", "cj": "cronjob", "cronjobs": "cronjob",
}

// find is the workload that sends the request: a pod by its name, else one of
// those of a controller, else what a template describes. A kind may be left out.
func find(s *objects.State, namespace, name string) (mesh.Workload, error) {
	kind, bare, typed := strings.Cut(strings.ToLower(name), "/")
	if !typed {
		kind, bare = "", name
	}
	if long, ok := kinds[kind]; ok {
		kind = long
	}
	owned := func(w *mesh.Workload) bool {
		k, n, _ := strings.Cut(w.Owner, "/")
		return n == bare && (kind == "" || k == kind)
	}
	var found []*mesh.Workload
	if kind == "" || kind == "pod" {
		found = among(s.Result.Mesh.Workloads, namespace, func(w *mesh.Workload) bool { return w.Name == bare })
	}
	if len(found) == 0 {
		found = among(s.Result.Mesh.Workloads, namespace, owned)
	}
	if len(found) == 0 {
		templates := make([]*mesh.Workload, len(s.Templates))
		for i := range s.Templates {
			templates[i] = &s.Templates[i]
		}
		found = among(templates, namespace, owned)
	}
	var namespaces, owners []string
	for _, w := range found {
		if !slices.Contains(namespaces, w.Namespace) {
			namespaces = append(namespaces, w.Namespace)
		}
		if !slices.Contains(owners, w.Owner) {
			owners = append(owners, w.Owner)
		}
	}
	slices.Sort(namespaces)
	slices.Sort(owners)
	switch {
	case len(found) == 0:
		return mesh.Workload{}, missing(s, namespace, name)
	case len(namespaces) > 1:
		return mesh.Workload{}, fmt.Errorf("%s is in the namespaces %s: say which with -n", name, strings.Join(namespaces, ", "))
	case len(owners) > 1:
		return mesh.Workload{}, fmt.Errorf("%s may be %s: say which", name, strings.Join(owners, " or "))
	}
	return *found[0], nil
}

func among(list []*mesh.Workload, namespace string, fits func(*mesh.Workload) bool) []*mesh.Workload {
	var out []*mesh.Workload
	for _, w := range list {
		if (namespace == "" || w.Namespace == namespace) && fits(w) {
			out = append(out, w)
		}
	}
	return out
}

// missing says that there is no such client, and what there is.
func missing(s *objects.State, namespace, name string) error {
	var known []string
	note := func(w *mesh.Workload, word string) {
		word += " -n " + w.Namespace
		if (namespace == "" || w.Namespace == namespace) && !slices.Contains(known, word) {
			known = append(known, word)
		}
	}
	for _, w := range s.Result.Mesh.Workloads {
		if w.Owner != "" {
			note(w, w.Owner)
		} else {
			note(w, w.Name)
		}
	}
	for i := range s.Templates {
		note(&s.Templates[i], s.Templates[i].Owner)
	}
	where := ""
	if namespace != "" {
		where = " in namespace " + namespace
	}
	from := "the cluster has"
	if !s.Live {
		from = "the files have"
	}
	switch {
	case len(known) == 0 && s.Live:
		return fmt.Errorf("there is no workload %s%s: no pod runs there", name, where)
	case len(known) == 0:
		return fmt.Errorf("there is no workload %s%s: %s no pod or Deployment there; add one with -f", name, where, from)
	}
	slices.Sort(known)
	more := ""
	if len(known) > 10 {
		known, more = known[:10], " and others"
	}
	return fmt.Errorf("there is no workload %s%s; %s %s%s", name, where, from, strings.Join(known, ", "), more)
}
