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

// find is the workload that sends the request: a pod by its name, or one of
// those of a controller, or what a template describes.
func find(s *objects.State, namespace, name string) (mesh.Workload, error) {
	kind, bare, typed := strings.Cut(strings.ToLower(name), "/")
	if !typed {
		kind, bare = "", name
	}
	if long, ok := kinds[kind]; ok {
		kind = long
	}
	owner := kind + "/" + bare
	var found []mesh.Workload
	for _, w := range s.Result.Mesh.Workloads {
		if namespace != "" && w.Namespace != namespace {
			continue
		}
		if kind == "pod" || kind == "" {
			if w.Name == bare {
				found = append(found, *w)
			}
		} else if w.Owner == owner {
			found = append(found, *w)
		}
	}
	if len(found) == 0 {
		for _, w := range s.Templates {
			if (namespace == "" || w.Namespace == namespace) && w.Owner == owner {
				found = append(found, w)
			}
		}
	}
	var namespaces []string
	for _, w := range found {
		if !slices.Contains(namespaces, w.Namespace) {
			namespaces = append(namespaces, w.Namespace)
		}
	}
	switch len(namespaces) {
	case 1:
		return found[0], nil
	case 0:
		return mesh.Workload{}, missing(s, namespace, name)
	}
	slices.Sort(namespaces)
	return mesh.Workload{}, fmt.Errorf("%s is in the namespaces %s: say which with -n", name, strings.Join(namespaces, ", "))
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
	if len(known) == 0 {
		return fmt.Errorf("there is no workload %s%s: %s no pod or Deployment at all; add one with -f", name, where, from)
	}
	slices.Sort(known)
	more := ""
	if len(known) > 10 {
		known, more = known[:10], " and others"
	}
	return fmt.Errorf("there is no workload %s%s; %s %s%s", name, where, from, strings.Join(known, ", "), more)
}
