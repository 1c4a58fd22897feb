package xds

import (
	"net/netip"
	"testing"
)

func TestNamesAreReadAsWritten(t *testing.T) {
	for _, name := range []string{"10.96.5.6_80", "[fd00::6]_80"} {
		ap, ok := ParseAddressName(name)
		if !ok || AddressName(ap.Addr(), ap.Port()) != name {
			t.Errorf("%s read as %v, %t", name, ap, ok)
		}
	}
	for _, name := range []string{"", "_", "10.0.0.1", "10.0.0.1_0", "10.0.0.1_080", "10.0.0.1_65536", "fd00::6_80", "[10.0.0.1]_80", "[fe80::1%eth0]_80", "[::ffff:10.0.0.1]_80", "10.0.0.01_80"} {
		if ap, ok := ParseAddressName(name); ok {
			t.Errorf("%q read as %v", name, ap)
		}
	}
	for _, a := range []string{"10.244.0.7", "fd00::7", "::1"} {
		addr := netip.MustParseAddr(a)
		host := PodHost(addr, "production", "cluster.local")
		got, ns, ok := ParsePodHost(host, "cluster.local")
		if !ok || got != addr || ns != "production" {
			t.Errorf("%s: %s read as %v, %q, %t", a, host, got, ns, ok)
		}
	}
	for _, host := range []string{"x.production.pod.cluster.local", "10-0-0-1.pod.cluster.local", "10-0-0-1.a.b.pod.cluster.local", "10-0-0-1.a.svc.cluster.local"} {
		if _, _, ok := ParsePodHost(host, "cluster.local"); ok {
			t.Errorf("%q read as a pod", host)
		}
	}
	for _, want := range []string{"", "canary"} {
		host, port, subset, ok := ParseClusterName("outbound|80|" + want + "|api.default.svc.cluster.local")
		if !ok || host != "api.default.svc.cluster.local" || port != 80 || subset != want {
			t.Errorf("cluster read as %q, %d, %q, %t", host, port, subset, ok)
		}
	}
	for _, name := range []string{"inbound|80||", "outbound|0||api", "outbound|80||", "outbound|80|a|b|c", "x"} {
		if _, _, _, ok := ParseClusterName(name); ok {
			t.Errorf("%q read as a cluster", name)
		}
	}
}

// FuzzNames feeds names as clients send them: whatever is accepted must be just
// how we write it ourselves, or one thing would have two names.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"10.96.5.6_80", "[fd00::6]_80", "api.default.svc.cluster.local:80", "outbound|80||api.default.svc.cluster.local", "outbound|80||10-244-0-7.default.pod.cluster.local", "_80", "a:1:2", "||||"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ap, ok := ParseAddressName(s); ok {
			if back, ok := ParseAddressName(AddressName(ap.Addr(), ap.Port())); !ok || back != ap {
				t.Errorf("%q: %v, then %v", s, ap, back)
			}
		}
		if host, port, ok := ParseHostName(s); ok && HostName(host, port) != s {
			t.Errorf("%q read as %q, %d", s, host, port)
		}
		if host, port, subset, ok := ParseClusterName(s); ok {
			if SubsetName(host, port, subset) != s {
				t.Errorf("%q read as %q, %d", s, host, port)
			}
			if a, ns, ok := ParsePodHost(host, "cluster.local"); ok && PodHost(a, ns, "cluster.local") != host {
				t.Errorf("%q read as %v, %q", host, a, ns)
			}
		}
	})
}
