// Package translate is the command `translate`: objects of any API family in,
// the mesh that follows from them out, with every problem.
package translate

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/cli/objects"
	"github.com/weftmesh/weft/mesh"
)

// New makes the command.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var from objects.Flags
	var live bool
	var output string
	cmd := &cobra.Command{
		Use:   "translate -f FILE|DIR|- | --cluster",
		Short: "Print the mesh that follows from objects, and what is wrong with them",
		Long: `Print the mesh that follows from objects, as YAML on stdout, and what is wrong
with them on stderr. The exit code is 1 if there is an error among that.

Objects are read from files and folders (-f), or from the cluster (--cluster).
The translators are those of the control plane.`,
		Example: `  weft translate -f manifests/ -R
  kustomize build . | weft translate -f -
  weft translate --cluster -o json`,
		Args: cobra.NoArgs,
	}
	from.Register(cmd.Flags())
	cmd.Flags().BoolVar(&live, "cluster", false, "read the objects of the cluster")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml: the mesh on stdout, problems on stderr; json: both in one object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case output != "yaml" && output != "json":
			return fmt.Errorf("--output %s: want yaml or json", output)
		case live && len(from.Files) > 0:
			return errors.New("-f and --cluster exclude each other")
		case !live && len(from.Files) == 0:
			return errors.New("nothing to translate: name files with -f, or use --cluster")
		}
		s, err := from.Load(cmd.Context(), c, flags)
		if err != nil {
			return err
		}
		return write(c, s, output, flags.Verbose)
	}
	return cmd
}

// dump is the mesh as it is printed.
type dump struct {
	Settings     settings            `json:"settings"`
	Services     []*mesh.Service     `json:"services,omitempty"`
	Workloads    []*mesh.Workload    `json:"workloads,omitempty"`
	Routes       []*mesh.Route       `json:"routes,omitempty"`
	Destinations []*mesh.Destination `json:"destinations,omitempty"`
	Sidecars     []*mesh.Sidecar     `json:"sidecars,omitempty"`
	Endpoints    []endpoints         `json:"endpoints,omitempty"`
}

type settings struct {
	TrustDomain   string            `json:"trustDomain"`
	ClusterDomain string            `json:"clusterDomain"`
	RootNamespace string            `json:"rootNamespace"`
	Outbound      mesh.OutboundMode `json:"outbound"`
	Inbound       mesh.MTLSMode     `json:"inbound"`
	Combine       mesh.Combine      `json:"combine"`
}

type endpoints struct {
	Service   mesh.Ref        `json:"service"`
	Port      uint16          `json:"port"`
	Endpoints []mesh.Endpoint `json:"endpoints"`
}

func dumpOf(s *objects.State) dump {
	m := s.Result.Mesh
	out := dump{Settings: settings{m.Settings.TrustDomain, m.Settings.ClusterDomain, m.Settings.RootNamespace, m.Settings.Outbound, m.Settings.Inbound, m.Settings.Combine}, Services: m.Services, Workloads: m.Workloads, Routes: m.Routes, Destinations: m.Destinations, Sidecars: m.Sidecars}
	add := func(set *mesh.EndpointSet) {
		if len(set.Endpoints) > 0 {
			out.Endpoints = append(out.Endpoints, endpoints{set.Key.Service, set.Key.Port, set.Endpoints})
		}
	}
	for _, set := range s.Endpoints {
		add(set)
	}
	for _, set := range m.Endpoints {
		add(set)
	}
	sort.Slice(out.Endpoints, func(i, j int) bool {
		a, b := &out.Endpoints[i], &out.Endpoints[j]
		return a.Service.Less(b.Service) || a.Service == b.Service && a.Port < b.Port
	})
	return out
}

func write(c console.Console, s *objects.State, output string, verbose bool) error {
	problems := s.Result.Problems
	bad := false
	for _, p := range problems {
		bad = bad || p.Severity == mesh.Error
	}
	all := dumpOf(s)
	var raw []byte
	var err error
	if output == "json" {
		raw, err = json.MarshalIndent(struct {
			Mesh     dump           `json:"mesh"`
			Problems []mesh.Problem `json:"problems"`
		}{all, append([]mesh.Problem{}, problems...)}, "", "  ")
		raw = append(raw, '\n')
	} else {
		raw, err = yaml.Marshal(all)
	}
	if err != nil {
		return err
	}
	if _, err := c.Out.Write(raw); err != nil {
		return err
	}
	if output == "yaml" {
		tell(c, problems, verbose)
	}
	if bad {
		return console.Failed()
	}
	return nil
}

// tell writes problems to stderr: where, what, and what to do, one a paragraph,
// and how many there are.
func tell(c console.Console, problems []mesh.Problem, verbose bool) {
	count := map[mesh.Severity]int{}
	for _, p := range problems {
		count[p.Severity]++
		if p.Severity == mesh.Info && !verbose {
			continue
		}
		c.Printf("%s %s %s\n", p.Severity, p.Code, p.Origin)
		what := p.Message
		if p.Field != "" && !strings.HasPrefix(what, p.Field+":") {
			what = p.Field + ": " + what
		}
		c.Printf("  %s\n", what)
		if p.Remedy != "" {
			c.Printf("  → %s\n", p.Remedy)
		}
	}
	if len(problems) == 0 {
		return
	}
	var parts []string
	for _, s := range []struct {
		severity mesh.Severity
		word     string
	}{{mesh.Error, "error"}, {mesh.Warning, "warning"}, {mesh.Info, "remark"}} {
		if n := count[s.severity]; n == 1 {
			parts = append(parts, "1 "+s.word)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n, s.word))
		}
	}
	hint := ""
	if count[mesh.Info] > 0 && !verbose {
		hint = " (remarks with --verbose)"
	}
	c.Printf("%s%s\n", strings.Join(parts, ", "), hint)
}
