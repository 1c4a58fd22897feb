package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Program returns the file of one of the built programs, such as kubectl.
func (c *Cluster) Program(name string) string { return c.programs[name] }

// Bin is the folder with kubectl and the other programs of Kubernetes.
func (c *Cluster) Bin() string { return filepath.Dir(c.programs["kubectl"]) }

// Env is the caller's environment with the cluster's kubectl first on PATH
// and KUBECONFIG set.
func (c *Cluster) Env() []string {
	return append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "KUBECACHEDIR="+c.in("run", "kubectl"), "PATH="+c.Bin()+":"+os.Getenv("PATH"))
}

// Kubectl runs kubectl as administrator and returns its standard output. An
// error carries what it printed on standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlIn(ctx, nil, args...)
}

// KubectlIn is Kubectl with a standard input.
func (c *Cluster) KubectlIn(ctx context.Context, in io.Reader, args ...string) (string, error) {
	out, err := c.Exec(ctx, in, c.programs["kubectl"], args...)
	if err != nil {
		return out, fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// Exec runs a program inside the cluster's network namespace and returns its
// standard output. An error carries what it printed on standard error.
func (c *Cluster) Exec(ctx context.Context, in io.Reader, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	// Children, such as those of a shell, go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = c.Env()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errs
	if err := c.Start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Import loads images from OCI or docker archives into the node.
func (c *Cluster) Import(ctx context.Context, archives ...string) error {
	for _, a := range archives {
		if _, err := c.ctr(ctx, "image", "import", a); err != nil {
			return fmt.Errorf("import %s: %w", a, err)
		}
	}
	return nil
}

// Images lists the names of the images on the node.
func (c *Cluster) Images(ctx context.Context) ([]string, error) {
	out, err := c.ctr(ctx, "image", "ls", "-q")
	return strings.Fields(out), err
}

func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	return c.Exec(ctx, nil, "ctr", append([]string{"--address", c.containerdSocket(), "--namespace", "k8s.io"}, args...)...)
}
