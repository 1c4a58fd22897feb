package inject

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var asks = Namespace{Name: "production", Annotations: map[string]string{"linkerd.io/inject": "enabled"}}

func plainPod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "i"}}}}
	change(p)
	return p
}

// TestClashes: pods that hold something of the names, ports or user that the
// sidecar needs. What cannot work is refused with the name of the thing; what
// may work is warned of; what is ours already stays.
func TestClashes(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*corev1.Pod)
		refused string
		warning string
	}{
		"nothing": {change: func(*corev1.Pod) {}},
		"volume": {change: func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: tokenVolume}} },
			refused: "spec.volumes: weft-token"},
		"our volume": {change: func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{projectedToken()} }},
		"init container": {change: func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "linkerd-init"}} },
			refused: "spec.initContainers: linkerd-init"},
		"container": {change: func(p *corev1.Pod) { p.Spec.Containers[0].Name = "linkerd-init" },
			refused: "spec.containers: linkerd-init"},
		"port": {change: func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 4143}} },
			warning: "container app declares port 4143"},
		"statistics port": {change: func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 15090}} },
			warning: "container app declares port 15090"},
		"UDP port": {change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 4143, Protocol: corev1.ProtocolUDP}}
		}},
		"user of the pod": {change: func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(proxyUser)} },
			warning: "container app runs as user 2102"},
		"user of the container": {change: func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: ptr(proxyUser)}
		}, warning: "container app runs as user 2102"},
		"user overridden": {change: func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(proxyUser)}
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: ptr(int64(1000))}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, native := range []bool{true, false} {
				res, err := Pod(Target{Pod: plainPod(c.change), Namespace: asks}, Options{TrustAnchors: "PEM", NativeSidecar: native})
				if c.refused != "" {
					if !errors.Is(err, ErrClash) || !strings.Contains(err.Error(), c.refused) || len(res.Patch) > 0 {
						t.Errorf("error %v, want %q", err, c.refused)
					}
					continue
				}
				if err != nil || len(res.Patch) == 0 {
					t.Fatalf("not injected: %v", err)
				}
				if got := strings.Join(res.Warnings, "\n"); !strings.Contains(got, c.warning) || (c.warning == "") != (got == "") {
					t.Errorf("warnings %q, want %q", got, c.warning)
				}
			}
		})
	}
}

// TestWindowsNodesAreLeftAlone: few pods say spec.os, nearly all select nodes.
func TestWindowsNodesAreLeftAlone(t *testing.T) {
	for _, key := range []string{"kubernetes.io/os", "beta.kubernetes.io/os"} {
		p := plainPod(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: "windows"} })
		if d := Decide(Target{Pod: p, Namespace: asks}, "weft-system"); d.Inject || d.Reason != NotLinux {
			t.Errorf("%s: %+v", key, d)
		}
		p.Spec.NodeSelector[key] = "linux"
		if d := Decide(Target{Pod: p, Namespace: asks}, "weft-system"); !d.Inject {
			t.Errorf("%s=linux: %+v", key, d)
		}
	}
}

// TestFaultsOfANamespaceStopNoPods: an annotation of the namespace concerns
// pods whose authors never saw it, also those that are only moved to another
// node. A fault in it costs the setting, with a warning, and not the pods.
func TestFaultsOfANamespaceStopNoPods(t *testing.T) {
	plain, err := Pod(Target{Pod: plainPod(func(*corev1.Pod) {}), Namespace: asks}, Options{TrustAnchors: "PEM", LogLevel: "warn"})
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"skip-inbound-ports": "80-70", "skip-subnets": "nowhere", "proxy-cpu-limit": "fast", "proxy-log-level": "loud", "image-pull-policy": "Sometimes",
		"proxy-await": "maybe", "proxy-enable-native-sidecar": "perhaps", "admin-port": "0", "shutdown-grace-period": "long",
	}
	for name, value := range bad {
		ns := Namespace{Name: "production", Annotations: map[string]string{"linkerd.io/inject": "enabled", linkerdConfig + name: value}}
		res, err := Pod(Target{Pod: plainPod(func(*corev1.Pod) {}), Namespace: ns}, Options{TrustAnchors: "PEM", LogLevel: "warn"})
		if err != nil {
			t.Errorf("%s on the namespace: %v", name, err)
			continue
		}
		got, want := string(mustJSON(t, res.Patch)), string(mustJSON(t, plain.Patch))
		if got != want {
			t.Errorf("%s on the namespace changes the pod to %s", name, got)
		}
		if w := strings.Join(res.Warnings, "\n"); !strings.Contains(w, name) || !strings.Contains(w, "namespace production") || !strings.Contains(w, "ignored") {
			t.Errorf("%s on the namespace: warnings %q", name, w)
		}
		// The same on the pod is a fault of its author, who is told.
		p := plainPod(func(p *corev1.Pod) { p.Annotations = map[string]string{linkerdConfig + name: value} })
		if _, err := Pod(Target{Pod: p, Namespace: ns}, Options{TrustAnchors: "PEM"}); !errors.Is(err, ErrAnnotation) {
			t.Errorf("%s on the pod: %v", name, err)
		}
	}
	// Two that are good, each by itself.
	ns := Namespace{Name: "production", Annotations: map[string]string{"linkerd.io/inject": "enabled",
		linkerdConfig + "proxy-cpu-request": "2", linkerdConfig + "proxy-cpu-limit": "1"}}
	res, err := Pod(Target{Pod: plainPod(func(*corev1.Pod) {}), Namespace: ns}, Options{TrustAnchors: "PEM"})
	if err != nil || len(res.Patch) == 0 || strings.Contains(string(mustJSON(t, res.Patch)), `"cpu":"2"`) || len(res.Warnings) != 1 {
		t.Errorf("request above limit: %v, warnings %q", err, res.Warnings)
	}
	pod := plainPod(func(p *corev1.Pod) { p.Annotations = map[string]string{linkerdConfig + "proxy-cpu-request": "3"} })
	if _, err := Pod(Target{Pod: pod, Namespace: ns}, Options{TrustAnchors: "PEM"}); !errors.Is(err, ErrAnnotation) {
		t.Errorf("request of the pod above limit: %v", err)
	}
}
