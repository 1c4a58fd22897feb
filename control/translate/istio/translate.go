package istio

import (
	"fmt"
	"sort"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// Translate is pure.
func Translate(w *world.World, services fragment.Services, settings mesh.Settings) fragment.Fragment {
	t := &translator{w: w, settings: settings, told: map[string]bool{}, shared: newShared()}
	t.hosts = newHosts(services, settings.ClusterDomain)
	t.readWorkloads()
	t.serviceEntries()
	t.hosts.seal()
	t.virtualServices()
	t.destinationRules()
	t.subsets()
	t.sidecars()
	t.telemetries()
	return t.out
}

type translator struct {
	w        *world.World
	settings mesh.Settings
	hosts    *hosts
	out      fragment.Fragment
	// workloads are the WorkloadEntries, the oldest first.
	workloads []workload
	// told keeps what is found for several ports or scopes to one problem.
	told   map[string]bool
	shared shared
}

func (t *translator) problem(c problem.Code, o mesh.Origin, field, message, remedy string) {
	t.report(problem.New(c, o, field, message, remedy))
}

func (t *translator) report(p mesh.Problem) {
	key := p.String()
	if !t.told[key] {
		t.told[key] = true
		t.out.Problems = append(t.out.Problems, p)
	}
}

func at(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// byAge sorts by age, then name, then namespace, as Istio does everywhere.
func byAge[S proto.Message](table world.Table[*istioapi.Object[S]]) []world.Item[*istioapi.Object[S]] {
	out := make([]world.Item[*istioapi.Object[S]], 0, len(table))
	for _, item := range table {
		out = append(out, item)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Obj, out[j].Obj
		if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
			return a.CreationTimestamp.Before(&b.CreationTimestamp)
		}
		return a.Name < b.Name || a.Name == b.Name && a.Namespace < b.Namespace
	})
	return out
}

func created[S proto.Message](item world.Item[*istioapi.Object[S]]) time.Time {
	return item.Obj.CreationTimestamp.Time
}

// exported are the namespaces that an exportTo means: nil for all; the dot is
// the object's own, ~ none.
func exported(list []string, own string) []string {
	if len(list) == 0 {
		return nil
	}
	seen := map[string]bool{}
	out := []string{}
	for _, ns := range list {
		switch ns {
		case "*":
			return nil
		case "~", "":
			continue
		case ".":
			ns = own
		}
		if !seen[ns] {
			seen[ns] = true
			out = append(out, ns)
		}
	}
	sort.Strings(out)
	return out
}

// seenFrom says whether something exported like that is seen from a namespace;
// the empty one stands for all that nobody names.
func seenFrom(exportTo []string, namespace string) bool {
	if exportTo == nil {
		return true
	}
	for _, ns := range exportTo {
		if ns == namespace && namespace != "" {
			return true
		}
	}
	return false
}
