package topology

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/weftmesh/weft/bench/app"
)

//go:embed *.tmpl
var templates embed.FS

// render writes a configuration.
func render(file, name string, data any) error {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// find looks for a program where Debian puts servers, too.
func find(program, remedy string) (string, error) {
	for _, p := range []string{program, "/usr/sbin/" + program} {
		if f, err := exec.LookPath(p); err == nil {
			return f, nil
		}
	}
	return "", fmt.Errorf("%s is %w; %s", program, ErrMissing, remedy)
}

// firstLine runs a program and returns the first line of what it says of itself.
func firstLine(ctx context.Context, args ...string) string {
	b, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return ""
	}
	l, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return l
}

// Nginx starts the two as nginx. It speaks HTTP/1.1 alone to what is behind it.
func (w *World) Nginx(ctx context.Context, name string) (*Pair, error) {
	bin, err := find("nginx", "apt-get install nginx-light")
	if err != nil {
		return nil, err
	}
	in, err := w.ports.Next()
	if err != nil {
		return nil, err
	}
	out, err := w.ports.Next()
	if err != nil {
		return nil, err
	}
	p := &Pair{Peer: name, Version: firstLine(ctx, bin, "-v"), At: map[app.Kind]string{app.HTTP: loopback(out)}}
	var args [2][]string
	for i, side := range []string{"in", "out"} {
		dir, err := w.folder(name + "-" + side)
		if err != nil {
			return nil, err
		}
		d := struct {
			Dir, Listen, Next, CA, ID, PeerName string
			Cert                                Files
			Outbound                            bool
		}{dir, loopback(in), w.App[app.HTTP], w.PKI.CA.Cert, ServerID, PeerName, w.PKI.Server, false}
		if side == "out" {
			d.Listen, d.Next, d.ID, d.Cert, d.Outbound = loopback(out), loopback(in), ClientID, w.PKI.Client, true
		}
		conf := filepath.Join(dir, "nginx.conf")
		if err := render(conf, "nginx.conf.tmpl", d); err != nil {
			return nil, err
		}
		args[i] = []string{bin, "-p", dir, "-c", conf}
		if os.Geteuid() == 0 {
			args[i] = append(args[i], "-g", "user root;") // its files are ours alone
		}
	}
	if err := p.up(ctx, w.dir, nil, args[0], args[1], map[app.Kind]int{app.HTTP: in}); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

type haPort struct {
	Kind, Mode, Listen, Next, ALPN string
	H2                             bool
}

// HAProxy starts the two as HAProxy, which speaks all protocols.
func (w *World) HAProxy(ctx context.Context, name string) (*Pair, error) {
	bin, err := find("haproxy", "apt-get install haproxy")
	if err != nil {
		return nil, err
	}
	in, out, err := w.sidecarPorts(app.Kinds())
	if err != nil {
		return nil, err
	}
	p := &Pair{Peer: name, Version: firstLine(ctx, bin, "-v"), At: addresses(out)}
	var args [2][]string
	for i, inbound := range []bool{true, false} {
		d := struct {
			CA, ID, PeerName string
			Cert             Files
			Inbound          bool
			Ports            []haPort
		}{w.PKI.CA.Cert, ServerID, PeerName, w.PKI.Server, inbound, nil}
		if !inbound {
			d.ID, d.Cert = ClientID, w.PKI.Client
		}
		for _, k := range app.Kinds() {
			x := haPort{Kind: string(k), Mode: "http", Listen: loopback(in[k]), Next: w.App[k]}
			if !inbound {
				x.Listen, x.Next = loopback(out[k]), loopback(in[k])
			}
			switch k {
			case app.TCP, app.Bulk:
				x.Mode = "tcp"
			case app.H2, app.GRPC:
				x.H2, x.ALPN = true, "h2"
			default:
				x.ALPN = "http/1.1"
			}
			d.Ports = append(d.Ports, x)
		}
		conf := filepath.Join(w.dir, fmt.Sprintf("%s-%v.cfg", name, inbound))
		if err := render(conf, "haproxy.cfg.tmpl", d); err != nil {
			return nil, err
		}
		args[i] = []string{bin, "-q", "-db", "-f", conf}
	}
	if err := p.up(ctx, w.dir, nil, args[0], args[1], in); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}
