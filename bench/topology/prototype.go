package topology

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/weftmesh/weft/bench/app"
)

// Prototype is one of the throw-away programs that show what is possible.
type Prototype struct {
	command string
	args    []string
	kinds   []app.Kind
	small   bool
}

// Prototypes are those that can run beside ours, by name.
func Prototypes() map[string]Prototype {
	return map[string]Prototype{
		"c-skip": {"pc", []string{"-io", "skip"}, []app.Kind{app.HTTP}, false},
		"e2-mux": {"pe2", nil, []app.Kind{app.HTTP}, true},
		"c-tcp":  {"ps", []string{"-tls"}, []app.Kind{app.TCP}, false},
	}
}

// Prototype builds one from the folder of their sources and starts the two.
func (w *World) Prototype(ctx context.Context, name, sources string, x Prototype) (*Pair, error) {
	dir, err := w.folder("prototypes")
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, x.command)
	build := exec.CommandContext(ctx, "go", "build", "-C", sources, "-o", bin, "./cmd/"+x.command)
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if b, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the prototype %s in %s: %w: %s", name, sources, err, b)
	}
	crt := filepath.Join(dir, "crt")
	if err := os.MkdirAll(crt, 0o700); err != nil {
		return nil, err
	}
	for to, from := range map[string]string{"ca.pem": w.PKI.CA.Cert, "cert.pem": w.PKI.Client.Cert, "key.pem": w.PKI.Client.Key} {
		b, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(crt, to), b, 0o600); err != nil {
			return nil, err
		}
	}
	in, out, err := w.sidecarPorts(x.kinds)
	if err != nil {
		return nil, err
	}
	p := &Pair{Peer: name, At: addresses(out), Small: x.small}
	k := x.kinds[0]
	side := func(mode, listen, next string) []string {
		return append([]string{bin, "-mode", mode, "-l", listen, "-u", next}, x.args...)
	}
	if err := p.up(ctx, w.dir, []string{"GOMAXPROCS=1", "PERF=" + dir}, side("in", loopback(in[k]), w.App[k]), side("out", loopback(out[k]), loopback(in[k])), in); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}
