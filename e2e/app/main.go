// Command app is the application of the end-to-end tests: a server that says
// what it saw over HTTP/1.1, h2c, gRPC and TCP, and a client that puts a
// constant load on it and counts.
//
//	app serve [flags]   the server; ends gracefully on SIGTERM
//	app load [flags]    the client; prints a JSON report
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verb, args := "serve", os.Args[1:]
	if len(args) > 0 && args[0][0] != '-' {
		verb, args = args[0], args[1:]
	}
	var err error
	switch verb {
	case "serve":
		err = serve(ctx, args)
	case "load":
		err = load(ctx, args, os.Stdout)
	default:
		err = fmt.Errorf("unknown verb %q: serve or load", verb)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}
