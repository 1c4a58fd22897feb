// Package why is the command `why`: what happens to one request of one client,
// and which object says so.
package why

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/cli/objects"
	"github.com/weftmesh/weft/control/explain"
	"github.com/weftmesh/weft/mesh"
)

// errURL means that the address of the request cannot be used.
var errURL = errors.New("want an address such as http://api.production:80/path")

// New makes the command.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var from objects.Flags
	var headers []string
	var method, output, namespace string
	cmd := &cobra.Command{
		Use:   "why POD|KIND/NAME URL",
		Short: "Explain what happens to a request, and which objects say so",
		Long: `Explain what happens to a request of a client: the listener of its proxy, the
route and the rule (and why earlier rules do not hold), the backends with their
shares and endpoints, and every policy on the way; each with the object, the
field and the line that it comes from.

The client is a pod, or a workload such as deploy/web. Hosts are understood as
the pod's resolv.conf would: api, api.production, full names, addresses, hosts
of ServiceEntries and others. Objects are the cluster's, or with -f those of
files; then the client may be a Deployment that does not run.`,
		Example: `  weft why deploy/web http://api/v1/users -H 'x-canary: true'
  weft why web-5d9c7 http://api.production:80/orders -X POST
  weft why deploy/web https://pay.example.com/ -f manifests/ -R -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("want a client and an address, such as: weft why deploy/web http://api/v1")
			}
			return nil
		},
	}
	f := cmd.Flags()
	from.Register(f)
	f.StringArrayVarP(&headers, "header", "H", nil, "header field of the request, such as 'x-canary: true'; may be repeated")
	f.StringVarP(&method, "request", "X", "GET", "method of the request")
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the client; default is the one where it is found")
	f.StringVarP(&output, "output", "o", "", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if output != "" && output != "json" {
			return fmt.Errorf("--output %s: want json", output)
		}
		r, err := request(args[1], method, headers)
		if err != nil {
			return err
		}
		s, err := from.Load(cmd.Context(), c, flags)
		if err != nil {
			return err
		}
		client, err := find(s, namespace, args[0])
		if err != nil {
			return err
		}
		d, err := explain.Explain(explain.Input{Mesh: s.Result.Mesh, World: s.World, Endpoints: s.Endpoints, Known: s.Known,
			Problems: s.Result.Problems, Client: client, Request: r})
		if err != nil {
			return err
		}
		if output == "json" {
			raw, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				return err
			}
			_, err = c.Out.Write(append(raw, '\n'))
			return err
		}
		_, err = c.Out.Write([]byte(text(d)))
		return err
	}
	return cmd
}

// request reads the address and the header fields.
func request(address, method string, headers []string) (explain.Request, error) {
	r := explain.Request{Method: strings.ToUpper(method)}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return r, fmt.Errorf("%q: %w: %w", address, errURL, err)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tcp":
		return r, fmt.Errorf("%q: %w; the scheme may be http, https or tcp", address, errURL)
	case u.Hostname() == "":
		return r, fmt.Errorf("%q: %w; it has no host", address, errURL)
	}
	r.Scheme, r.Host, r.Authority = u.Scheme, u.Hostname(), u.Host
	r.Port = map[string]uint16{"http": 80, "https": 443}[u.Scheme]
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return r, fmt.Errorf("%q: %w; port %s is not between 1 and 65535", address, errURL, p)
		}
		r.Port = uint16(n)
	}
	if r.Port == 0 {
		return r, fmt.Errorf("%q: %w; tcp needs a port", address, errURL)
	}
	r.Target = u.EscapedPath()
	if r.Target == "" {
		r.Target = "/"
	}
	if u.RawQuery != "" {
		r.Target += "?" + u.RawQuery
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return r, fmt.Errorf("-H %q: want a field such as 'x-canary: true'", h)
		}
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, "host") {
			r.Authority = value
			continue
		}
		r.Headers = append(r.Headers, mesh.Header{Name: strings.ToLower(name), Value: value})
	}
	return r, nil
}
