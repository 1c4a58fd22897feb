package redirect

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestPlan(t *testing.T) {
	p, err := NewPlan(Config{
		InboundPort: 4143, OutboundPort: 4140, ProxyUID: 2102, IPv6: true,
		SkipInboundPorts:  []PortRange{{9000, 9010}, {22, 22}, {9005, 9020}},
		SkipOutboundPorts: []PortRange{{25, 25}},
		SkipSubnets:       []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("fd00::/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `ip output tcp uid 2102 -> as it is
ip output tcp out lo -> as it is
ip output tcp to 127.0.0.0/8 -> as it is
ip output tcp port 25 -> as it is
ip output tcp to 10.0.0.0/8 -> as it is
ip output tcp -> proxy port 4140
ip prerouting tcp port 22 -> as it is
ip prerouting tcp port 4140 -> as it is
ip prerouting tcp port 4143 -> as it is
ip prerouting tcp port 4190-4191 -> as it is
ip prerouting tcp port 9000-9020 -> as it is
ip prerouting tcp port 15021 -> as it is
ip prerouting tcp port 15090 -> as it is
ip prerouting tcp -> proxy port 4143
ip6 output tcp uid 2102 -> as it is
ip6 output tcp out lo -> as it is
ip6 output tcp to ::1/128 -> as it is
ip6 output tcp port 25 -> as it is
ip6 output tcp to fd00::/8 -> as it is
ip6 output tcp -> proxy port 4140
ip6 prerouting tcp port 22 -> as it is
ip6 prerouting tcp port 4140 -> as it is
ip6 prerouting tcp port 4143 -> as it is
ip6 prerouting tcp port 4190-4191 -> as it is
ip6 prerouting tcp port 9000-9020 -> as it is
ip6 prerouting tcp port 15021 -> as it is
ip6 prerouting tcp port 15090 -> as it is
ip6 prerouting tcp -> proxy port 4143
`
	if p.String() != want {
		t.Errorf("got\n%s", p)
	}
	q, _ := NewPlan(Config{InboundPort: 4143, OutboundPort: 4140, ProxyUID: 2102})
	if !p.Equal(p) || p.Equal(q) {
		t.Error("plans do not compare")
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	err := Config{SkipInboundPorts: []PortRange{{5, 4}}, SkipSubnets: []netip.Prefix{{}}}.Validate()
	if !errors.Is(err, ErrConfig) {
		t.Fatal(err)
	}
	for _, w := range []string{"outbound port", "inbound port", "proxy uid", "port range 5-4", "subnet"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no word of %s in: %v", w, err)
		}
	}
	if err := (Config{InboundPort: 1, OutboundPort: 1, ProxyUID: 1}).Validate(); err == nil {
		t.Error("one port for both directions")
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("25,8000-8010", "10.0.0.0/8,fd00::1")
	f.Add(" 1 - 2 ,, 65535", "::/0")
	f.Fuzz(func(t *testing.T, ports, subnets string) {
		rs, err1 := ParsePorts(ports)
		ss, err2 := ParseSubnets(subnets)
		if err1 != nil || err2 != nil {
			return
		}
		c := Config{InboundPort: 4143, OutboundPort: 4140, ProxyUID: 1, SkipInboundPorts: rs, SkipSubnets: ss}
		if _, err := NewPlan(c); err != nil && !strings.Contains(err.Error(), "subnet") {
			t.Fatal(err)
		}
	})
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		say  string
	}{
		{"--dry-run --ipv6=false --skip-inbound-ports=22", 0, "ip prerouting tcp port 22 -> as it is\n"},
		{"--dry-run --outbound-port=70000", 2, "out of range"},
		{"--dry-run --inbound-port=4140", 2, "must differ"},
		{"--skip-inbound-ports=x", 2, `"x" is no port`},
		{"--skip-outbound-ports=9-8", 2, `"9-8" is no port`},
		{"--skip-subnets=10.0.0/8", 2, `"10.0.0/8" is no subnet`},
		{"--backend=ebpf", 2, "unknown backend"},
		{"surplus", 2, "unexpected argument"},
		{"--no-such-flag", 2, "not defined"},
		{"-h", 0, "proxy-uid"},
	} {
		var out, errOut bytes.Buffer
		if code := Run(strings.Fields(c.args), &out, &errOut); code != c.code || !strings.Contains(out.String()+errOut.String(), c.say) {
			t.Errorf("%s: %d\n%s%s", c.args, code, &out, &errOut)
		}
	}
}

// fake is a backend that fails, or counts.
type fake struct {
	err     error
	applied int
}

func (f *fake) name() string     { return "fake" }
func (f *fake) apply(Plan) error { f.applied++; return f.err }
func (f *fake) undo() error      { return f.err }

func TestAutoFallsBack(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	noNAT := &fake{err: os.NewSyscallError("nft", syscall.ENOENT)}
	good := &fake{}
	if by, err := applyFirst(Plan{}, []backend{noNAT, good}, log); err != nil || by != "fake" || good.applied != 1 {
		t.Error(by, err)
	}
	if _, err := applyFirst(Plan{}, []backend{noNAT, &fake{err: errors.New("other")}}, log); err == nil || !strings.Contains(err.Error(), "other") || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("both reasons are wanted: %v", err)
	}
	// Where one may not, the other may not either: nothing else is tried.
	never := &fake{}
	if _, err := applyFirst(Plan{}, []backend{&fake{err: syscall.EPERM}, never}, log); !errors.Is(err, syscall.EPERM) || never.applied != 0 {
		t.Error(err)
	}
}
