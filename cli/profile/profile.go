// Package profile is the command `profile`: it makes a ServiceProfile from a
// description of an API, or a template to fill in.
package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/internal/linkerdapi"
)

// maxInput is the largest description that is read, in bytes.
const maxInput = 16 << 20

// errSource means that the command line does not say what to make a profile of.
var errSource = errors.New("want exactly one of --template, --open-api FILE and --proto FILE")

// errTap says what observing traffic would need of the proxies.
var errTap = errors.New("--tap is not available: it needs proxies that tell single requests with their paths (a tap), and today's count requests by destination only; use --open-api, --proto or --template")

// flagsOf are the command's own flags.
type flagsOf struct {
	template                  bool
	openAPI, proto, tap       string
	namespace, domain, output string
	ignoreCluster             bool
	tapDuration               string
	tapRouteLimit             uint
}

// New makes the command.
func New(c console.Console, _ *cluster.Flags) *cobra.Command {
	var f flagsOf
	cmd := &cobra.Command{
		Use:   "profile (--template | --open-api FILE | --proto FILE) SERVICE",
		Short: "Make a ServiceProfile",
		Long: `Make a ServiceProfile for a service: from an OpenAPI document (2 or 3), from
protobuf definitions, or as a template to fill in. FILE may be - for stdin.

Operations of OpenAPI may carry x-linkerd-retryable: true and
x-linkerd-timeout: 300ms.`,
		Example: `  weft profile -n production api --open-api swagger.yaml | kubectl apply -f -
  weft profile -n production api --proto api.proto`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("want the name of one service, such as: weft profile --template api")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	s := cmd.Flags()
	s.BoolVar(&f.template, "template", false, "print a template with comments")
	s.StringVar(&f.openAPI, "open-api", "", "OpenAPI document, YAML or JSON")
	s.StringVar(&f.proto, "proto", "", "protobuf definitions")
	s.StringVar(&f.tap, "tap", "", "observe the traffic of a workload (not available: proxies have no tap)")
	s.StringVar(&f.tapDuration, "tap-duration", "5s", "how long to observe, with --tap")
	s.UintVar(&f.tapRouteLimit, "tap-route-limit", 20, "most routes to observe, with --tap")
	s.StringVarP(&f.namespace, "namespace", "n", "default", "namespace of the service")
	s.StringVar(&f.domain, "cluster-domain", "cluster.local", "DNS suffix of services")
	s.StringVarP(&f.output, "output", "o", "yaml", "yaml or json")
	s.BoolVar(&f.ignoreCluster, "ignore-cluster", false, "no effect: no cluster is asked")
	_ = s.MarkHidden("ignore-cluster")
	return cmd
}

func (f *flagsOf) run(c console.Console, service string) error {
	if f.tap != "" {
		return errTap
	}
	given := 0
	for _, yes := range []bool{f.template, f.openAPI != "", f.proto != ""} {
		if yes {
			given++
		}
	}
	switch {
	case given != 1:
		return errSource
	case f.output != "yaml" && f.output != "json":
		return fmt.Errorf("--output %s: want yaml or json", f.output)
	}
	for what, name := range map[string]string{"service": service, "namespace": f.namespace} {
		if bad := content.IsDNS1123Label(name); len(bad) > 0 {
			return fmt.Errorf("%q is no name of a %s: %s", name, what, strings.Join(bad, "; "))
		}
	}
	host := service + "." + f.namespace + ".svc." + f.domain
	if f.template {
		if f.output == "json" {
			return errors.New("a template has comments: use -o yaml")
		}
		_, err := fmt.Fprintf(c.Out, template, host, f.namespace)
		return err
	}
	file, routes := f.openAPI, fromOpenAPI
	if f.proto != "" {
		file, routes = f.proto, fromProto
	}
	raw, err := read(file, c.In)
	if err != nil {
		return err
	}
	list, err := routes(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return write(c.Out, f.output, &linkerdapi.ServiceProfile{
		TypeMeta:   metav1.TypeMeta{APIVersion: linkerdapi.Group + "/" + linkerdapi.ProfileVersions[0], Kind: "ServiceProfile"},
		ObjectMeta: metav1.ObjectMeta{Name: host, Namespace: f.namespace},
		Spec:       linkerdapi.ProfileSpec{Routes: list},
	})
}

func read(file string, stdin io.Reader) ([]byte, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	raw, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
	if err == nil && len(raw) > maxInput {
		err = fmt.Errorf("%s is larger than 16 MiB", file)
	}
	return raw, err
}

// write prints a profile that the mesh itself can read.
func write(out io.Writer, format string, p *linkerdapi.ServiceProfile) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, _, err := linkerdapi.Decode(raw); err != nil {
		return fmt.Errorf("the profile would not be valid: %w", err)
	}
	if format == "json" {
		raw, err = json.MarshalIndent(p, "", "  ")
		raw = append(raw, '\n')
	} else {
		raw, err = yaml.JSONToYAML(raw)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(raw)
	return err
}

// parameter stands for any value in a path, such as {id}.
var parameter = regexp.MustCompile(`\{[^{}/]*\}`)

// pathRegex makes an expression for a path in which some parts stand for any
// value.
func pathRegex(path string) string {
	var b strings.Builder
	last := 0
	for _, at := range parameter.FindAllStringIndex(path, -1) {
		b.WriteString(regexp.QuoteMeta(path[last:at[0]]) + "[^/]*")
		last = at[1]
	}
	return b.String() + regexp.QuoteMeta(path[last:])
}

// template has a host and a namespace to be put in.
const template = `apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  # The full DNS name of the service.
  name: %s
  namespace: %s
spec:
  # The first route whose condition holds is the request's.
  routes:
  - name: GET /books/{id}
    # method and pathRegex (whole path, without the query); also all, any, not.
    condition:
      method: GET
      pathRegex: /books/[^/]*
    # May a request be sent again after a failure? Default: false.
    isRetryable: true
    # How long the request may take with all its retries. Default: no limit.
    timeout: 300ms
    # Which responses are failures. Default: 500 to 599.
    responseClasses:
    - condition:
        status:
          min: 500
          max: 599
      isFailure: true
  # How many retries there may be beside the requests.
  retryBudget:
    retryRatio: 0.2
    minRetriesPerSecond: 10
    ttl: 10s
`
