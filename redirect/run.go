package redirect

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Run is the program weft-init: arguments without its name, plans on stdout,
// what was done on stderr. It returns the exit code: 0, 1 when the rules could
// not be set, 2 for wrong arguments.
func Run(args []string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "weft-init:", err)
		return 2
	}
	if o.undo && !o.dryRun {
		if err := Undo(o.backend); err != nil {
			log.Error("cannot remove the rules", "error", err)
			return 1
		}
		log.Info("rules removed")
		return 0
	}
	if o.config.IPv6 && !hasIPv6() {
		log.Info("this namespace has no IPv6: no rules for it")
		o.config.IPv6 = false
	}
	plan, err := NewPlan(o.config)
	if err != nil {
		fmt.Fprintln(stderr, "weft-init:", err)
		return 2
	}
	if o.dryRun {
		fmt.Fprint(stdout, plan)
		return 0
	}
	by, err := Apply(plan, o.backend, log)
	if err != nil {
		log.Error("cannot set the rules", "error", err)
		return 1
	}
	for _, r := range plan.Rules {
		log.Info("rule set", "backend", by, "rule", r.String())
	}
	return 0
}

type options struct {
	config       Config
	backend      string
	undo, dryRun bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{}
	fs := flag.NewFlagSet("weft-init", flag.ContinueOnError)
	fs.SetOutput(stderr)
	out := fs.Uint("outbound-port", DefaultOutboundPort, "`port` of the proxy for outgoing connections")
	in := fs.Uint("inbound-port", DefaultInboundPort, "`port` of the proxy for incoming connections")
	uid := fs.Uint("proxy-uid", DefaultProxyUID, "`user` whose connections are not redirected")
	skipIn := fs.String("skip-inbound-ports", "", "comma list of `ports` and ranges to leave alone, such as 25,8000-8010")
	skipOut := fs.String("skip-outbound-ports", "", "the same for outgoing connections")
	subnets := fs.String("skip-subnets", "", "comma list of destination `subnets` to leave alone")
	fs.BoolVar(&o.config.IPv6, "ipv6", true, "redirect IPv6 too, where the namespace has it")
	fs.StringVar(&o.backend, "backend", Auto, "`auto`, nft or legacy")
	fs.BoolVar(&o.undo, "undo", false, "remove the rules")
	fs.BoolVar(&o.dryRun, "dry-run", false, "print the rules and change nothing")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%w: unexpected argument %q", ErrConfig, fs.Arg(0))
	}
	if *out > 65535 || *in > 65535 || *uid >= 1<<32-1 {
		return o, fmt.Errorf("%w: a port or user id is out of range", ErrConfig)
	}
	o.config.OutboundPort, o.config.InboundPort, o.config.ProxyUID = uint16(*out), uint16(*in), uint32(*uid)
	var errs [5]error
	o.config.SkipInboundPorts, errs[0] = ParsePorts(*skipIn)
	o.config.SkipOutboundPorts, errs[1] = ParsePorts(*skipOut)
	o.config.SkipSubnets, errs[2] = ParseSubnets(*subnets)
	_, errs[3] = choose(o.backend)
	return o, errors.Join(errs[:]...)
}

// hasIPv6 tells whether this network namespace knows IPv6.
func hasIPv6() bool {
	_, err := os.Stat("/proc/thread-self/net/if_inet6")
	return err == nil
}
