package control

import (
	"errors"
	"log/slog"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stest "k8s.io/client-go/testing"
)

// TestNativeIsAskedAgain: an API server that is away for the moment in which
// the control plane starts must not decide about sidecars for good.
func TestNativeIsAskedAgain(t *testing.T) {
	client := fake.NewClientset()
	away, asked := true, 0
	client.PrependReactor("get", "version", func(k8stest.Action) (bool, runtime.Object, error) {
		asked++
		if away {
			return true, nil, errors.New("connection refused")
		}
		return false, nil, nil
	})
	client.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.34.1+k3s1"}
	n := nativeSidecars{choice: NativeAuto, discovery: client.Discovery(), log: slog.New(slog.DiscardHandler)}
	if n.get() {
		t.Error("native without knowing the version")
	}
	away = false
	for range 3 {
		if !n.get() {
			t.Error("1.34 has native sidecars")
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2: what is known stays known", asked)
	}
	client.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.28.9"}
	if n := (nativeSidecars{choice: NativeAuto, discovery: client.Discovery(), log: slog.New(slog.DiscardHandler)}); n.get() {
		t.Error("1.28 has none")
	}
	if n := (nativeSidecars{choice: NativeOn}); !n.get() {
		t.Error("what was chosen does not count")
	}
}
