// Package demo is the command `weft demo`: a small shop on this machine, each
// process with a proxy beside it.
package demo

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/local"
	"github.com/weftmesh/weft/local/shop"
)

// New makes the command.
func New() *cobra.Command {
	var (
		d      local.Demo
		output string
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop with a service mesh on this machine",
		Long: `Starts a control plane on a folder of YAML, a small shop (web, api in a stable
and a canary version, db), a proxy beside each of its processes and a gentle
load, and shows what the proxies see. Loopback only, no root; Ctrl-C ends
everything.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch output {
			case "table":
			case "json":
				d.JSON = true
			default:
				return fmt.Errorf("--output %s: want table or json", output)
			}
			bin, err := local.FindBinaries()
			if err != nil {
				return err
			}
			d.Bin, d.Out = bin, cmd.OutOrStdout()
			d.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return d.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.DurationVar(&d.For, "for", 0, "end after this time (default: run until interrupted)")
	f.StringVarP(&output, "output", "o", "table", "table, or json: one JSON object as the last line")
	f.StringVar(&d.Folder, "mesh", "", "mesh folder to keep (default: a temporary one)")
	f.IntVar(&d.Rate, "rate", 20, "requests a second of the load generator; 0 for none")
	f.IntVar(&d.Front, "front-port", 0, "port of the front (default: 8080, or a free one)")
	cmd.AddCommand(app())
	return cmd
}

// app is one process of the shop.
func app() *cobra.Command {
	var c shop.Config
	cmd := &cobra.Command{
		Use:    "app",
		Short:  "Run one process of the shop",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return shop.Run(cmd.Context(), c) },
	}
	f := cmd.Flags()
	f.StringVar(&c.Role, "role", "", "web, api or db")
	f.StringVar(&c.Name, "name", "", "name of the instance")
	f.StringVar(&c.Version, "version", "", "version of the api")
	f.StringVar(&c.Listen, "listen", "", "address")
	f.StringVar(&c.Upstream, "upstream", "", "address of what it calls")
	return cmd
}
