// Package version is the command `version`, in the words of each tool.
package version

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/manifests"
)

// unavailable stands for a version that could not be found out.
const unavailable = "unavailable"

// report is what -o json and yaml print.
type report struct {
	Client  string         `json:"clientVersion"`
	Server  string         `json:"serverVersion,omitempty"`
	Proxies map[string]int `json:"proxies,omitempty"`
}

type request struct {
	client, short, proxy bool
	namespace, output    string
}

// New makes the command.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var r request
	remote := true
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the client, the control plane and the proxies",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch r.output {
			case "", "json", "yaml":
			default:
				return fmt.Errorf("--output %s: want json or yaml", r.output)
			}
			r.client = r.client || !remote
			return run(cmd.Context(), c, flags, r)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&r.output, "output", "o", "", "json or yaml")
	if c.Tool.Name == "istioctl" {
		f.BoolVarP(&r.short, "short", "s", false, "one line each")
		f.BoolVar(&remote, "remote", true, "ask the cluster too")
		return cmd
	}
	f.BoolVar(&r.client, "client", false, "the client's only")
	f.BoolVar(&r.short, "short", false, "the bare versions")
	f.BoolVar(&r.proxy, "proxy", false, "the proxies' too")
	f.StringVarP(&r.namespace, "namespace", "n", "", "namespace of the proxies (default: all)")
	return cmd
}

func run(ctx context.Context, c console.Console, flags *cluster.Flags, r request) error {
	out := report{Client: version.Get()}
	istio := c.Tool.Name == "istioctl"
	if !r.client {
		out.Server = server(ctx, c, flags)
		if (r.proxy || istio) && out.Server != unavailable {
			var err error
			if out.Proxies, err = Proxies(ctx, c, flags, r.namespace); err != nil {
				return err
			}
		}
	}
	switch {
	case r.output == "json":
		raw, err := json.MarshalIndent(out, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.Out, "%s\n", raw)
		return err
	case r.output == "yaml":
		raw, err := yaml.Marshal(out)
		if err != nil {
			return err
		}
		_, err = c.Out.Write(raw)
		return err
	case istio:
		return printIstio(c, out, r)
	}
	return printLinkerd(c, out, r)
}

func printLinkerd(c console.Console, out report, r request) error {
	client, server := "Client version: ", "Server version: "
	if r.short {
		client, server = "", ""
	}
	text := client + out.Client + "\n"
	if !r.client {
		text += server + out.Server + "\n"
	}
	if r.proxy && len(out.Proxies) > 0 {
		text += "Proxy versions:\n"
		for _, v := range slices.Sorted(maps.Keys(out.Proxies)) {
			text += fmt.Sprintf("\t%s (%d pods)\n", v, out.Proxies[v])
		}
	}
	_, err := fmt.Fprint(c.Out, text)
	return err
}

func printIstio(c console.Console, out report, r request) error {
	text := "client version: " + out.Client + "\n"
	switch {
	case r.client:
	case out.Server == unavailable:
		c.Printf("no control plane found in the cluster\n")
	default:
		text += "control plane version: " + out.Server + "\n"
		if len(out.Proxies) > 0 {
			var list []string
			for _, v := range slices.Sorted(maps.Keys(out.Proxies)) {
				list = append(list, fmt.Sprintf("%s (%d proxies)", v, out.Proxies[v]))
			}
			text += "data plane version: " + strings.Join(list, ", ") + "\n"
		}
	}
	_, err := fmt.Fprint(c.Out, text)
	return err
}

// server returns the control plane's version.
func server(ctx context.Context, c console.Console, flags *cluster.Flags) string {
	cl, err := flags.Connect(c)
	if err != nil {
		return unavailable
	}
	cm, err := cl.Kube.CoreV1().ConfigMaps(flags.ControlNamespace).Get(ctx, manifests.ConfigMap, metav1.GetOptions{})
	if err != nil || cm.Data["version"] == "" {
		return unavailable
	}
	return cm.Data["version"]
}

// Proxies counts the running proxies by version.
func Proxies(ctx context.Context, c console.Console, flags *cluster.Flags, namespace string) (map[string]int, error) {
	cl, err := flags.Connect(c)
	if err != nil {
		return nil, err
	}
	pods, err := cl.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: inject.ControlNamespaceLabel})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the mesh: %w", err)
	}
	out := map[string]int{}
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning {
			out[p.Annotations[inject.ProxyVersion]]++
		}
	}
	return out, nil
}
