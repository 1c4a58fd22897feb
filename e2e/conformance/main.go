// Command conformance runs the conformance suite of the Gateway API for meshes,
// unmodified, against this build of Weft on a real cluster, and prints what
// became of each of its tests.
//
// The suite's own test program is compiled from its module as it is served; its
// manifests, timeouts and judgement are untouched. There is no registry: the
// image that the manifests name is put together here, of the echo application
// from which the published image is made (see modules/echo).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/internal/version"
)

// features are all that the suite tests of a mesh; nothing is exempt.
var features = []string{
	"Mesh", "HTTPRoute", "GRPCRoute",
	// The extended features of the profile MESH-HTTP.
	"MeshClusterIPMatching", "MeshConsumerRoute", "MeshHTTPRouteBackendRequestHeaderModification", "MeshHTTPRouteNamedRouteRule",
	"MeshHTTPRouteQueryParamMatching", "MeshHTTPRouteRedirectPath", "MeshHTTPRouteRedirectPort", "MeshHTTPRouteRewritePath", "MeshHTTPRouteSchemeRedirect",
	// Features of routes that tests of a mesh ask for as well.
	"HTTPRouteResponseHeaderModification", "HTTPRouteParentRefPort",
	"HTTPRoute303RedirectStatusCode", "HTTPRoute307RedirectStatusCode", "HTTPRoute308RedirectStatusCode",
}

// errConformance means that the suite did not pass as a whole.
var errConformance = errors.New("the mesh does not conform")

func main() {
	only := flag.String("run", "", "run one test of the suite alone, such as MeshHTTPRouteWeight; no report is made")
	suite := flag.String("suite", "v1.6.3", "version of the suite: v1.6.3, or v1.7.0 with its demand of a Go release lowered")
	keep := flag.Bool("keep", false, "leave the cluster and the suite's objects as they are at the end")
	build := flag.Bool("build", false, "build the suite's program and images, and stop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *suite, *only, *keep, *build); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, suite, only string, keep, build bool) (err error) {
	l, err := cluster.DefaultLayout()
	if err != nil {
		return err
	}
	b := builder{layout: l, suite: suite, log: os.Stderr}
	program, err := b.program(ctx)
	if err != nil {
		return err
	}
	archives, err := b.images(ctx)
	if err != nil || build {
		return err
	}
	out := filepath.Join(l.Source, "dist", "conformance", suite)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	c, err := cluster.Up(ctx, l, os.Stderr)
	if err != nil {
		return err
	}
	if !keep {
		defer func() { err = errors.Join(err, cluster.Down(l)) }()
	}
	if err := meshtest.Prepare(ctx, c); err != nil {
		return err
	}
	if err := c.Import(ctx, archives...); err != nil {
		return err
	}
	crds, err := b.definitions()
	if err != nil {
		return err
	}
	for _, f := range crds {
		if _, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", f); err != nil {
			return err
		}
	}
	args := []string{
		"-test.v", "-test.run=^TestConformance$", "-test.timeout=60m",
		"-supported-features=" + strings.Join(features, ","),
		"-conformance-profiles=MESH-HTTP,MESH-GRPC",
		"-namespace-annotations=weft.mesh/inject=enabled",
	}
	if only != "" {
		args = append(args, "-run-test="+only)
	} else {
		args = append(args, "-report-output="+filepath.Join(out, "report.yaml"), "-organization=weftmesh", "-project=weft",
			"-url=https://github.com/weftmesh/weft", "-version="+version.Get(), "-contact=https://github.com/weftmesh/weft/issues")
	}
	if keep {
		args = append(args, "-cleanup-base-resources=false")
	}
	log := filepath.Join(out, "log.txt")
	failed := execute(ctx, c, program, args, log)
	results, err := readLog(log)
	if err != nil {
		return errors.Join(failed, err)
	}
	summary := table(results)
	fmt.Print(summary)
	if err := os.WriteFile(filepath.Join(out, "summary.txt"), []byte(summary), 0o644); err != nil {
		return err
	}
	if err := judge(results, only); err != nil || failed != nil {
		return fmt.Errorf("%w: %w; the log is %s", errConformance, errors.Join(err, failed), log)
	}
	return nil
}

// execute runs the suite inside the cluster's network and keeps all that it says.
func execute(ctx context.Context, c *cluster.Cluster, program string, args []string, log string) error {
	f, err := os.Create(log)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = c.Env()
	cmd.Dir = filepath.Dir(log)
	cmd.Stdout = io.MultiWriter(f, &progress{to: os.Stderr})
	cmd.Stderr = f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := c.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}
