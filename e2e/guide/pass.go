package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/traffic"
)

//go:embed production.yaml
var production []byte

// stepTime is the most that one step may take, its check included.
const stepTime = 2 * time.Minute

// Pass is one of the guide's options on its cluster.
type Pass struct {
	*cluster.Cluster
	Family Family
	Steps  []Step
	// Omit leaves the guide's objects out: every step with one has to fail then.
	Omit bool
	bin  string // the folder with the links
}

// errCommand marks a command of the guide that failed. What it shows may take
// a while to come true; that it runs at all may not.
var errCommand = errors.New("the command fails")

// commandTime is how long a failing command is tried again.
const commandTime = 5 * time.Second

// check tells why a step does not do what the guide says; nil means it does.
type check func(ctx context.Context, p *Pass, s Step) error

// pass runs one option's steps on a fresh cluster.
func pass(ctx context.Context, l cluster.Layout, f Family, steps []Step, o options, results map[int]Result) (err error) {
	c, err := cluster.Up(ctx, l, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Down(l)) }()
	p := &Pass{Cluster: c, Family: f, Steps: steps, Omit: o.omit}
	if err := p.prepare(ctx); err != nil {
		return fmt.Errorf("prepare the %s pass: %w", f, err)
	}
	defer os.RemoveAll(p.bin)
	for _, s := range steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if o.steps != nil && !o.steps[s.N] {
			continue
		}
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, stepTime)
		err := checks[s.Title()](one, p, s)
		cancel()
		r := results[s.N]
		r.Ran = true
		if err != nil && r.Reason == "" {
			r.Reason = oneLine(err.Error())
		}
		results[s.N] = r
		verdict := "passed"
		if err != nil {
			verdict = strings.Join(strings.Fields(err.Error()), " ")
		}
		fmt.Fprintf(os.Stderr, "%2d. %s (%.1f s): %s\n", s.N, s.Title(), time.Since(began).Seconds(), verdict)
	}
	return nil
}

func (p *Pass) prepare(ctx context.Context) error {
	dist := filepath.Join(p.Source, "dist")
	images, err := filepath.Glob(filepath.Join(dist, "images", "*.tar"))
	if err != nil {
		return err
	}
	if len(images) == 0 {
		return fmt.Errorf("no images in %s: make images", filepath.Join(dist, "images"))
	}
	if err := p.Import(ctx, images...); err != nil {
		return err
	}
	if p.bin, err = os.MkdirTemp("", "guide-bin-"); err != nil {
		return err
	}
	if _, err := p.Exec(ctx, nil, filepath.Join(dist, "bin", "weft"), "compat", "link", p.bin); err != nil {
		// Every step that calls the tools will say so; the others still count.
		fmt.Fprintln(os.Stderr, "guide: weft compat link:", err)
	}
	if _, err := p.KubectlIn(ctx, bytes.NewReader(production), "apply", "-f", "-"); err != nil {
		return err
	}
	if err := p.rolledOut(ctx); err != nil {
		return err
	}
	_, err = p.Kubectl(ctx, "-n", "plain", "wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
	return err
}

// sh runs a command line of the guide as its reader's shell would, and
// returns what the reader would see.
func (p *Pass) sh(ctx context.Context, command string) (string, error) {
	out, err := p.Exec(ctx, nil, "env", "PATH="+p.path(), "bash", "-c", "set -o pipefail; { "+strings.TrimSuffix(command, "&")+"\n} 2>&1")
	if err != nil {
		return out, fmt.Errorf("%w: %w%s", errCommand, err, tail(out))
	}
	return out, nil
}

// watch runs a command that goes on until it is ended, for as long as it
// takes to show something.
func (p *Pass) watch(ctx context.Context, command string, limit time.Duration, seen func(output string) error) error {
	file, err := os.CreateTemp("", "guide-watch-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := p.sh(ctx, "{ "+strings.TrimSuffix(command, "&")+"\n} >"+file.Name()+" 2>&1")
		ended <- err
	}()
	deadline := time.After(limit)
	for {
		out, err := os.ReadFile(file.Name())
		if err != nil {
			return err
		}
		last := seen(string(out))
		if last == nil {
			cancel()
			<-ended //nolint:errcheck // it ends because it was cancelled
			return nil
		}
		select {
		case err := <-ended:
			out, readErr := os.ReadFile(file.Name())
			if last = seen(string(out)); last == nil {
				return nil
			}
			return errors.Join(fmt.Errorf("%w; the command ended%s", last, tail(string(out))), err, readErr)
		case <-deadline:
			cancel()
			<-ended //nolint:errcheck // it ends because it was cancelled
			return fmt.Errorf("not within %v: %w%s", limit, last, tail(string(out)))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (p *Pass) path() string {
	for _, e := range p.Env() {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			return p.bin + ":" + v
		}
	}
	return p.bin
}

// apply applies a YAML block as it stands.
func (p *Pass) apply(ctx context.Context, yaml string) error {
	if p.Omit && slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Text == yaml }) {
		return nil
	}
	_, err := p.KubectlIn(ctx, strings.NewReader(yaml), "apply", "-f", "-")
	return err
}

// block returns the YAML of another step.
func (p *Pass) block(title string) (string, error) {
	for _, s := range p.Steps {
		if s.Title() == title {
			return s.Text, nil
		}
	}
	return "", fmt.Errorf("the guide has no %s", title)
}

// rolledOut waits until the production namespace's Deployments are complete.
func (p *Pass) rolledOut(ctx context.Context) error {
	for _, d := range []string{"api", "api-canary", "frontend"} {
		if _, err := p.Kubectl(ctx, "-n", "production", "rollout", "status", "deployment/"+d, "--timeout=60s"); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pass) frontend() traffic.Client {
	return traffic.Client{Cluster: p.Cluster, Namespace: "production", Target: "deploy/frontend", Container: "frontend"}
}

// load puts load on the API from the frontend.
func (p *Pass) load(ctx context.Context, args ...string) (report.Report, error) {
	return p.frontend().Load(ctx, append([]string{"-target", "http://api/api/v1/users"}, args...)...)
}

// stranger puts load on the API from outside of the mesh.
func (p *Pass) stranger(ctx context.Context, args ...string) (report.Report, error) {
	c := traffic.Client{Cluster: p.Cluster, Namespace: "plain", Target: "pod/stranger", Container: "client"}
	return c.Load(ctx, append([]string{"-target", "http://api.production/api/v1/users"}, args...)...)
}

// within asks until there is no error.
func within(ctx context.Context, limit time.Duration, ok func() error) error {
	var err error
	for began := time.Now(); time.Since(began) < limit && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		if err = ok(); err == nil {
			return nil
		}
		if errors.Is(err, errCommand) && time.Since(began) > commandTime {
			return err
		}
	}
	return err
}

// longestLine bounds what is said of one step.
const longestLine = 240

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > longestLine {
		s = s[:longestLine] + "..."
	}
	return s
}

// tail quotes the end of an output in an error.
func tail(out string) string {
	out = strings.TrimSpace(out)
	if out == "" {
		return ""
	}
	lines := strings.Split(out, "\n")
	return ": " + strings.Join(lines[max(0, len(lines)-3):], " | ")
}
