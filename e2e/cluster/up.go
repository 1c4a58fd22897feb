package cluster

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed base.yaml
var base []byte

// ErrNotUp means that no cluster runs below this root.
var ErrNotUp = errors.New("the cluster is not up")

// Cluster is one running node.
type Cluster struct {
	Layout
	programs Programs
	log      io.Writer
	client   client
}

// Up builds what is missing, removes what an earlier run left and starts the
// cluster. It returns when the node is Ready and DNS answers. The cluster
// outlives the caller; Down ends it.
func Up(ctx context.Context, l Layout, log io.Writer) (*Cluster, error) {
	if err := CheckHost(); err != nil {
		return nil, err
	}
	unlock, err := l.acquire()
	if err != nil {
		return nil, err
	}
	defer unlock()
	programs, err := BuildTools(ctx, l, log)
	if err != nil {
		return nil, err
	}
	images, err := l.BuildImages(ctx, programs, log)
	if err != nil {
		return nil, err
	}
	if err := l.clean(); err != nil {
		return nil, fmt.Errorf("clean up after an earlier run: %w", err)
	}
	c := &Cluster{Layout: l, programs: programs, log: log}
	if err := c.up(ctx, images); err != nil {
		return nil, errors.Join(err, c.tails(), l.clean())
	}
	return c, nil
}

// Attach returns the cluster that is up.
func Attach(l Layout) (*Cluster, error) {
	r, err := l.record("kubelet")
	if err != nil || !r.alive() {
		return nil, ErrNotUp
	}
	p := Programs{}
	for _, t := range tools {
		dir, err := t.dir(l)
		if err != nil {
			return nil, err
		}
		for _, name := range t.programs {
			p[name] = filepath.Join(dir, name)
		}
	}
	return &Cluster{Layout: l, programs: p, log: io.Discard}, nil
}

// Down ends the cluster, or what is left of it.
func Down(l Layout) error {
	unlock, err := l.acquire()
	if err != nil {
		return err
	}
	defer unlock()
	return l.clean()
}

func (c *Cluster) up(ctx context.Context, images []string) error {
	began := time.Now()
	for _, d := range []string{"log", "pid", "run", "cni", "kubelet", "etcd", "podlogs"} {
		if err := os.MkdirAll(c.in(d), 0o755); err != nil {
			return err
		}
	}
	if err := c.makeNetns(); err != nil {
		return err
	}
	if err := c.makeKeys(); err != nil {
		return err
	}
	if err := c.writeConfigs(); err != nil {
		return err
	}
	if err := c.startAll(
		process{"etcd", c.etcdArgs()},
		process{"containerd", []string{"containerd", "--config", c.in("containerd.toml")}},
		process{"apiserver", c.apiServerArgs()},
	); err != nil {
		return err
	}
	if err := c.await(ctx, 30*time.Second, "containerd", func() error { return c.listens("unix", c.containerdSocket()) }); err != nil {
		return err
	}
	for _, i := range images {
		if err := c.Import(ctx, i); err != nil {
			return err
		}
	}
	if err := c.await(ctx, 90*time.Second, "API server", func() error { return c.ready(ctx) }); err != nil {
		return err
	}
	if err := c.startAll(
		process{"controllers", c.controllerArgs()},
		process{"scheduler", c.schedulerArgs()},
		process{"kubelet", c.kubeletArgs()},
		process{"kube-proxy", c.kubeProxyArgs()},
	); err != nil {
		return err
	}
	if _, err := c.KubectlIn(ctx, bytes.NewReader(base), "apply", "-f", "-"); err != nil {
		return err
	}
	if err := c.await(ctx, 60*time.Second, "node", func() error {
		_, err := c.Kubectl(ctx, "wait", "--for=condition=Ready", "--timeout=30s", "node/"+NodeName)
		return err
	}); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"); err != nil {
		return err
	}
	fmt.Fprintf(c.log, "the cluster is up after %.1f s\n", time.Since(began).Seconds())
	return nil
}

type process struct {
	name string
	args []string
}

func (c *Cluster) startAll(list ...process) error {
	for _, p := range list {
		if err := c.start(p.name, p.args...); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) listens(network, address string) error {
	return c.inside(func() error {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

func (c *Cluster) ready(ctx context.Context) error {
	if err := c.listens("tcp", NodeIP+":"+APIPort); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "get", "--raw", "/readyz")
	return err
}

// await asks until there is no error. It gives up at once when one of the
// started processes is gone.
func (c *Cluster) await(ctx context.Context, limit time.Duration, what string, ok func() error) error {
	var last error
	var dead []string
	done := poll(limit, func() bool {
		if last = ok(); last == nil {
			return true
		}
		dead = c.dead()
		return len(dead) > 0 || ctx.Err() != nil
	})
	switch {
	case last == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case len(dead) > 0:
		return fmt.Errorf("%s ended while waiting for the %s; logs are in %s", strings.Join(dead, ", "), what, c.Logs())
	case !done:
		return fmt.Errorf("the %s was not ready within %v: %w; logs are in %s", what, limit, last, c.Logs())
	}
	return last
}

// dead lists the recorded processes that no longer run.
func (c *Cluster) dead() []string {
	var out []string
	for name, r := range c.recorded() {
		if !r.alive() {
			out = append(out, name)
		}
	}
	return out
}

// tails quotes the last lines of the logs of the processes that ended.
func (c *Cluster) tails() error {
	var errs []error
	for _, name := range c.dead() {
		out, err := exec.Command("tail", "-n", "5", c.in("log", name+".log")).Output()
		if err == nil {
			errs = append(errs, fmt.Errorf("%s said: %s", name, bytes.TrimSpace(out)))
		}
	}
	return errors.Join(errs...)
}
