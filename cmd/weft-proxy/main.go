// Command weft-proxy is the sidecar.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/weftmesh/weft/proxy/sidecar"
)

func main() {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	os.Exit(sidecar.Main(context.Background(), os.Args, os.LookupEnv, stop, os.Stdout, os.Stderr))
}
