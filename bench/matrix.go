package bench

import (
	"fmt"
	"strings"

	"github.com/weftmesh/weft/bench/app"
	"github.com/weftmesh/weft/bench/load"
)

// Cell is one kind of load.
type Cell struct {
	Name     string // protocol/load/connections, for the reader and the -only switch
	Protocol string
	Kind     app.Kind
	Load     load.Spec // without an address and times
	Unit     string    // what CPU is counted per
	Quick    bool      // part of the quick run
}

// Memory says that the cell is about memory alone.
func (c Cell) Memory() bool { return c.Load.Generator == load.Hold }

func http1(connections, rate int, quick bool) Cell {
	s := load.Spec{Generator: load.Wrk, Connections: connections, Rate: rate}
	name := "saturated"
	if rate > 0 {
		s.Generator, name = load.Open, fmt.Sprintf("%d-rps", rate)
	}
	return Cell{fmt.Sprintf("http1/%s/%d", name, connections), "http/1.1", app.HTTP, s, "request", quick}
}

func streams(protocol string, k app.Kind, g load.Generator, connections, streams int, unit string, quick bool) Cell {
	return Cell{fmt.Sprintf("%s/%dx%d", protocol, connections, streams), protocol, k, load.Spec{Generator: g, Connections: connections, Streams: streams}, unit, quick}
}

func plain(name, protocol string, k app.Kind, s load.Spec, unit string, quick bool) Cell {
	return Cell{fmt.Sprintf("%s/%d", name, s.Connections), protocol, k, s, unit, quick}
}

// Matrix is everything that is measured, in the order of the tables.
func Matrix() []Cell {
	return []Cell{
		http1(1, 0, true), http1(16, 0, true), http1(64, 0, true), http1(1000, 0, false),
		http1(1, 1000, false), http1(16, 1000, true), http1(16, 5000, true), http1(64, 5000, false),
		plain("http1-fortio/1000-rps", "http/1.1 (fortio)", app.HTTP, load.Spec{Generator: load.Fortio, Connections: 16, Rate: 1000}, "request", false),
		plain("http1-1MiB", "http/1.1, 1 MiB", app.HTTP, load.Spec{Generator: load.Wrk, Connections: 4, Path: "/1m"}, "MiB", false),
		streams("h2", app.H2, load.H2load, 1, 1, "request", false), streams("h2", app.H2, load.H2load, 4, 16, "request", false),
		streams("grpc-unary", app.GRPC, load.Unary, 1, 1, "request", false), streams("grpc-unary", app.GRPC, load.Unary, 4, 16, "request", true),
		streams("grpc-stream", app.GRPC, load.Stream, 1, 1, "message", false), streams("grpc-stream", app.GRPC, load.Stream, 4, 16, "message", false),
		streams("grpc-fortio", app.GRPC, load.Health, 4, 16, "request", false),
		plain("tcp-bulk", "tcp", app.Bulk, load.Spec{Generator: load.Bulk, Connections: 4}, "MiB", true),
		plain("tcp-1KiB", "tcp", app.TCP, load.Spec{Generator: load.Exchange, Connections: 16}, "exchange", true),
		plain("tcp-connect", "tcp, new connections", app.TCP, load.Spec{Generator: load.Connect, Connections: 16}, "connection", false),
		plain("http1-idle", "http/1.1, idle", app.HTTP, load.Spec{Generator: load.Hold, Connections: 1000}, "request", false),
	}
}

// Select keeps the cells whose names contain one of the comma-separated parts;
// none keeps all, or with quick those of the quick run.
func Select(cells []Cell, only string, quick bool) ([]Cell, error) {
	var out []Cell
	for _, c := range cells {
		if only == "" && (!quick || c.Quick) || only != "" && containsAny(c.Name, only) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		names := make([]string, len(cells))
		for i, c := range cells {
			names[i] = c.Name
		}
		return nil, fmt.Errorf("-only %q matches none of %s", only, strings.Join(names, " "))
	}
	return out, nil
}

func containsAny(name, parts string) bool {
	for _, p := range strings.Split(parts, ",") {
		// A part that ends in $ is a name's end, so that /1$ is not /16.
		p, end := strings.CutSuffix(strings.TrimSpace(p), "$")
		if end && strings.HasSuffix(name, p) || !end && strings.Contains(name, p) {
			return true
		}
	}
	return false
}
