package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
)

// Role is the first argument of a program that should become the application.
const Role = "app"

// Args are the arguments after the program's name that make Main serve.
func Args(counters string, listen map[Kind]string) []string {
	a := []string{Role, "-counters", counters}
	for _, k := range Kinds() {
		if listen[k] != "" {
			a = append(a, "-listen", string(k)+"="+listen[k])
		}
	}
	return a
}

type listens map[Kind]string

func (l listens) String() string { return fmt.Sprint(map[Kind]string(l)) }

func (l listens) Set(v string) error {
	k, a, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("%q is not kind=address", v)
	}
	l[Kind(k)] = a
	return nil
}

// Main serves every listener until ctx ends. args begin after the role.
func Main(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet(Role, flag.ContinueOnError)
	file := fs.String("counters", "", "file of the counters")
	at := listens{}
	fs.Var(at, "listen", "kind=address, may be repeated")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := OpenCounters(*file)
	if err != nil {
		return err
	}
	ended := make(chan error, len(at))
	for k, a := range at {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", k, err)
		}
		go func() { ended <- fmt.Errorf("%s: %w", k, serve(k, l, c)) }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

func serve(k Kind, l net.Listener, c *Counters) error {
	switch k {
	case HTTP:
		return serveHTTP(l.(*net.TCPListener), c.Of(k))
	case H2:
		return serveH2(l, c.Of(k))
	case GRPC:
		return serveGRPC(l, c.Of(k))
	case TCP:
		return serveEcho(l, c.Of(k))
	case Bulk:
		return serveBulk(l, c.Of(k))
	}
	return errors.New("no such kind")
}
