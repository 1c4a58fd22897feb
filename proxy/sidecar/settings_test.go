package sidecar

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/proxytest"
)

func env(t *testing.T, more map[string]string) Lookup {
	t.Helper()
	m := map[string]string{
		"WEFT_CONTROL_ADDRESS": "weft-control.weft-system.svc:15012", "WEFT_TOKEN_FILE": "/token", "WEFT_TRUST_ANCHORS": string(proxytest.NewCA(t).Bundle().PEM()),
		"POD_NAME": "api-0", "POD_NAMESPACE": "default", "POD_IP": "10.0.0.7", "SERVICE_ACCOUNT": "api",
	}
	maps.Copy(m, more)
	return func(name string) (string, bool) {
		v, ok := m[name]
		if v == "-" {
			return "", false
		}
		return v, ok
	}
}

func TestSettings(t *testing.T) {
	s, err := Read(env(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Redirect || s.OutboundListen != ":4140" || s.InboundListen != ":4143" || s.AdminListen != ":4191" || s.StatsListen != ":15090" || s.HealthListen != ":15021" ||
		s.ControlName != "weft-control.weft-system.svc" || s.Cores != 1 || s.Drain != 0 || s.Identity != proxytest.ID("api") {
		t.Errorf("defaults: %+v", s)
	}
	if got, want := s.nodeID(), "sidecar~10.0.0.7~api-0.default~default.svc.cluster.local"; got != want {
		t.Errorf("node %s, want %s", got, want)
	}
	s, err = Read(env(t, map[string]string{"WEFT_MODE": "none", "WEFT_INBOUND": "127.0.0.1:20001=127.0.0.1:9001", "WEFT_STATS_LISTEN": "", "WEFT_DRAIN_SECONDS": "7",
		"WEFT_UPSTREAMS": "api.default.svc.cluster.local:80=127.0.0.1:7001, db.default.svc.cluster.local:5432=127.0.0.1:7002"}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Redirect || len(s.Inbound) != 1 || s.Inbound[0].Application != netip.MustParseAddrPort("127.0.0.1:9001") || len(s.Upstreams) != 2 ||
		s.Upstreams[1] != (UpstreamListener{"db.default.svc.cluster.local:5432", "127.0.0.1:7002"}) || s.StatsListen != "" || s.Drain != 7*time.Second {
		t.Errorf("mode none: %+v", s)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for name, value := range map[string]string{
		"WEFT_CONTROL_ADDRESS": "-", "WEFT_TOKEN_FILE": "-", "POD_NAME": "-", "POD_NAMESPACE": "-", "SERVICE_ACCOUNT": "-", "POD_IP": "ten",
		"WEFT_TRUST_ANCHORS": "none", "WEFT_MODE": "tproxy", "WEFT_LOG": "loud", "WEFT_DRAIN_SECONDS": "-1", "WEFT_CORES": "many",
		"WEFT_ADMIN_LISTEN": "4191", "WEFT_WATCH_PROCESSES": "perhaps", "WEFT_TRUST_DOMAIN": "Not A Domain",
	} {
		if _, err := Read(env(t, map[string]string{name: value})); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	for name, value := range map[string]string{"WEFT_INBOUND": "127.0.0.1:1", "WEFT_UPSTREAMS": "api:80=nowhere"} {
		if _, err := Read(env(t, map[string]string{"WEFT_MODE": "none", name: value})); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]int64{"268435456\n": 268435456, "max\n": 0, "9223372036854771712\n": 0, "": 0} {
		f := filepath.Join(dir, "memory.max")
		if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, ok := memoryLimit(f); n != want || ok != (want > 0) {
			t.Errorf("%q: %d, %t", content, n, ok)
		}
	}
	if _, ok := memoryLimit(filepath.Join(dir, "missing")); ok {
		t.Error("a missing file has a limit")
	}
}
