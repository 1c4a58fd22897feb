package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"github.com/weftmesh/weft/proxy/sidecar"
)

// proxyRole is the first argument of a program that should become a sidecar
// which profiles itself; the second is the folder for the profile.
const proxyRole = "proxy"

// profiled runs the sidecar as its own program does, and returns its exit code.
func profiled(ctx context.Context, dir string) int {
	f, err := os.Create(filepath.Join(dir, os.Getenv("POD_NAME")+".pprof"))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		return 1
	}
	asked, stop := make(chan os.Signal, 2), make(chan os.Signal, 2)
	signal.Notify(asked, syscall.SIGTERM, os.Interrupt)
	go func() {
		s := <-asked
		// The profile is written first: who asks does not wait for a long drain.
		pprof.StopCPUProfile()
		f.Close()
		stop <- s
	}()
	return sidecar.Main(context.WithoutCancel(ctx), os.Args[:1], os.LookupEnv, stop, os.Stdout, os.Stderr)
}
