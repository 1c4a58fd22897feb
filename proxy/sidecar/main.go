package sidecar

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/weftmesh/weft/internal/version"
)

const usage = `usage: weft-proxy [run]                run the proxy; settings come from the environment
       weft-proxy wait [duration]      wait until the proxy beside is ready (default 2m)
       weft-proxy version
`

// Main runs the program and returns its exit code. stop are the signals that
// ask it to end.
func Main(ctx context.Context, args []string, lookup Lookup, stop <-chan os.Signal, stdout, stderr io.Writer) int {
	command := "run"
	if len(args) > 1 {
		command = args[1]
	}
	switch command {
	case "run":
		return run(ctx, lookup, stop, stderr)
	case "wait":
		return wait(ctx, args[2:], lookup, stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, version.Get())
		return 0
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "unknown command %q\n%s", command, usage)
	return 2
}

func run(ctx context.Context, lookup Lookup, stop <-chan os.Signal, stderr io.Writer) int {
	s, err := Read(lookup)
	if err != nil {
		fmt.Fprintln(stderr, "weft-proxy:", err)
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: s.LogLevel}))
	if err := Run(ctx, s, stop, log); err != nil {
		log.Error("the proxy cannot run", "error", err)
		return 1
	}
	return 0
}

func wait(ctx context.Context, args []string, lookup Lookup, stderr io.Writer) int {
	limit := 2 * time.Minute
	if len(args) > 0 {
		d, err := time.ParseDuration(args[0])
		if err != nil || d <= 0 {
			fmt.Fprintf(stderr, "weft-proxy wait: %q is no duration such as 30s\n", args[0])
			return 2
		}
		limit = d
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &reader{lookup: lookup}
	if err := Wait(ctx, r.get("WEFT_ADMIN_LISTEN", ":4191")); err != nil {
		fmt.Fprintln(stderr, "weft-proxy wait:", err)
		return 1
	}
	return 0
}
