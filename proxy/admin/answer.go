package admin

import (
	"io"
	"net"
	"net/netip"
	"strings"
)

// answer is a response before it is written.
type answer struct {
	status int
	text   string
	kind   string // content type; empty is plain text
	allow  string // methods, with 405
}

const (
	prometheusText = "text/plain; version=0.0.4; charset=utf-8"
	jsonText       = "application/json"
)

// page is one path: which listeners have it, its method, and what it answers.
type page struct {
	on     Paths
	method string
	answer func(s *Server, from net.Addr) answer
}

var pages = map[string]page{
	"/ready":            {Admin, "GET", (*Server).ready},
	"/live":             {Admin, "GET", func(*Server, net.Addr) answer { return answer{status: 200, text: "live\n"} }},
	"/metrics":          {Admin, "GET", (*Server).linkerd},
	"/config":           {Admin, "GET", (*Server).config},
	"/shutdown":         {Admin, "POST", (*Server).shutdown},
	"/stats/prometheus": {Stats, "GET", (*Server).istio},
	"/healthz/ready":    {Health, "GET", (*Server).ready},
}

func (s *Server) answer(on Paths, method, path string, from net.Addr) answer {
	p, ok := pages[path]
	if !ok || p.on&on == 0 {
		return answer{status: 404, text: "not found\n"}
	}
	if method != p.method && !(p.method == "GET" && method == "HEAD") {
		return answer{status: 405, text: "method not allowed\n", allow: p.method}
	}
	return p.answer(s, from)
}

func (s *Server) ready(net.Addr) answer {
	if s.opts.Ready == nil || !s.opts.Ready() {
		return answer{status: 503, text: "not ready\n"}
	}
	return answer{status: 200, text: "ready\n"}
}

func (s *Server) linkerd(net.Addr) answer {
	return produce(prometheusText, s.opts.Metrics.WriteLinkerd)
}

func (s *Server) istio(net.Addr) answer {
	return produce(prometheusText, s.opts.Metrics.WriteIstio)
}

func (s *Server) config(net.Addr) answer { return produce(jsonText, s.opts.Config) }

// produce makes the answer before anything of it is sent, so that a failure is
// a 500 and not half a page.
func produce(kind string, write func(io.Writer) error) answer {
	var b strings.Builder
	if err := write(&b); err != nil {
		return answer{status: 500, text: err.Error() + "\n"}
	}
	return answer{status: 200, text: b.String(), kind: kind}
}

// shutdown ends the proxy. It is for the pod's own containers, such as a Job's,
// so it must come from loopback.
func (s *Server) shutdown(from net.Addr) answer {
	if s.opts.Shutdown == nil {
		return answer{status: 404, text: "shutdown is not enabled\n"}
	}
	if a, err := netip.ParseAddrPort(from.String()); err != nil || !a.Addr().Unmap().IsLoopback() {
		return answer{status: 403, text: "shutdown is allowed from loopback only\n"}
	}
	s.opts.Shutdown()
	return answer{status: 200, text: "shutting down\n"}
}
