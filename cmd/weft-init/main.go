// Command weft-init sets the redirect rules of a pod's network namespace and
// exits. It needs no shell and no other program.
package main

import (
	"os"

	"github.com/weftmesh/weft/redirect"
)

func main() { os.Exit(redirect.Run(os.Args[1:], os.Stdout, os.Stderr)) }
