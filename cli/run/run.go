// Package run is the command `weft run`: a process of one's own, with a proxy
// beside it, without Kubernetes.
package run

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/local"
)

// ExitCode carries the wrapped process' exit code to main.
type ExitCode int

// Error is empty-handed: the wrapped process has spoken for itself.
func (e ExitCode) Error() string { return fmt.Sprintf("the process ended with code %d", int(e)) }

// Code is what main exits with.
func (e ExitCode) Code() int { return int(e) }

// New makes the command; getenv finds the user's default mesh folder.
func New(getenv func(string) string) *cobra.Command {
	var w local.Wrap
	cmd := &cobra.Command{
		Use:   "run --service NAME --port P [--upstream SVC=127.0.0.1:PORT]... -- CMD [ARG]...",
		Short: "Run a process with a proxy beside it, without Kubernetes",
		Long: `Runs CMD and a proxy beside it, and enters both into a local mesh under the
name of a service. Others in the same mesh folder reach it by that name, over
mutual TLS; CMD reaches them at the addresses given with --upstream.
The first process of a folder starts its control plane.`,
		Example: `  weft run --service db --port 5432 --protocol tcp -- ./db
  weft run --service api --port 8080 --upstream db=127.0.0.1:5433 -- ./api --db 127.0.0.1:5433`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bin, err := local.FindBinaries()
			if err != nil {
				return err
			}
			w.Args, w.Bin = args, bin
			w.In, w.Out, w.Err = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			w.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if w.Folder == "" {
				w.Folder = local.DefaultFolder(getenv)
			}
			code, err := w.Run(cmd.Context())
			if err != nil {
				return err
			}
			if code != 0 {
				return ExitCode(code)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.Service, "service", "", "name of the service that the process is")
	f.IntVar(&w.Port, "port", 0, "port on 127.0.0.1 on which the process listens")
	f.StringVar(&w.Protocol, "protocol", "", "what it speaks: http, http2, grpc, tcp (default: found out)")
	f.StringArrayVar(&w.Upstreams, "upstream", nil, "SERVICE[.NAMESPACE][:PORT]=127.0.0.1:PORT at which the process dials another service")
	f.StringVarP(&w.Namespace, "namespace", "n", "default", "namespace of the service")
	f.StringVar(&w.Folder, "mesh", "", "mesh folder (default: $XDG_STATE_HOME/weft or ~/.local/state/weft)")
	return cmd
}
