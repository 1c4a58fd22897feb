// Command cmd is the harness at the command line: a Kubernetes of one node
// on this machine. See package cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/weftmesh/weft/e2e/cluster"
)

const usage = `usage: go run ./e2e/cluster/cmd VERB

  build             build the programs and images of the cluster (once)
  up                start the cluster, whatever an earlier run left
  down              end it, leaving nothing
  status            list what there is of it on this machine
  import FILE...    load images into the node
  kubectl ARGS...   run kubectl as administrator
  exec CMD ARGS...  run a command inside the node's network namespace
  env               print the environment that exec sets, for a shell there`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, verb string, args []string) error {
	l, err := cluster.DefaultLayout()
	if err != nil {
		return err
	}
	switch verb {
	case "build":
		p, err := cluster.BuildTools(ctx, l, os.Stderr)
		if err != nil {
			return err
		}
		_, err = l.BuildImages(ctx, p, os.Stderr)
		return err
	case "up":
		c, err := cluster.Up(ctx, l, os.Stderr)
		if err != nil {
			return err
		}
		return foreground(c, c.Program("kubectl"), "get", "nodes")
	case "down":
		return cluster.Down(l)
	case "status":
		for _, s := range cluster.Leftovers(l) {
			fmt.Println(s)
		}
		return nil
	}
	c, err := cluster.Attach(l)
	if err != nil {
		return err
	}
	switch {
	case verb == "import":
		return c.Import(ctx, args...)
	case verb == "kubectl":
		return foreground(c, c.Program("kubectl"), args...)
	case verb == "exec" && len(args) > 0:
		return foreground(c, args[0], args[1:]...)
	case verb == "env":
		fmt.Printf("KUBECONFIG=%s\nPATH=%s:$PATH\n", c.Kubeconfig(), c.Bin())
		return nil
	}
	return errors.New(usage)
}

// foreground runs a command inside the cluster with this terminal.
func foreground(c *cluster.Cluster, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = c.Env()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}
