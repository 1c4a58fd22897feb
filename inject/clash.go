package inject

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// clashes finds what of the pod stands in the sidecar's way: warnings, and faults
// with which the pod could not start or its proxy not work.
func clashes(pod *corev1.Pod, f Family, s settings) (warnings []string, faults error) {
	var errs []error
	taken := func(field, name, remedy string) {
		errs = append(errs, fmt.Errorf("%w: %s: %s: the proxy needs the name; %s", ErrClash, field, name, remedy))
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == tokenVolume && !sameVolume(v) {
			taken("spec.volumes", v.Name, "rename the volume")
		}
	}
	for _, l := range []struct {
		field string
		list  []corev1.Container
	}{{"spec.initContainers", pod.Spec.InitContainers}, {"spec.containers", pod.Spec.Containers}} {
		for i := range l.list {
			c := &l.list[i]
			if c.Name == f.InitContainer() {
				taken(l.field, c.Name, "rename the container, or remove it if another mesh has left it")
			}
			for _, p := range c.Ports {
				if (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) && slices.Contains(s.ownPorts(), int(p.ContainerPort)) {
					warnings = append(warnings, fmt.Sprintf("container %s declares port %d, on which the proxy listens: only one of them can; let the application use another", c.Name, p.ContainerPort))
				}
			}
			if runsAs(pod, c) == proxyUser {
				warnings = append(warnings, fmt.Sprintf("container %s runs as user %d, which is the proxy's: its connections go around the proxy; let it run as another", c.Name, proxyUser))
			}
		}
	}
	return warnings, errors.Join(errs...)
}

// sameVolume says whether the volume is what the injector would add, as in a
// pod that was injected by hand before. The API server fills in the mode.
func sameVolume(v corev1.Volume) bool {
	if v.Projected == nil {
		return false
	}
	return equality.Semantic.DeepEqual(v.Projected.Sources, projectedToken().Projected.Sources)
}

// ownPorts are those on which the proxy listens on every address.
func (s settings) ownPorts() []int { return []int{4140, 4143, s.adminPort, 15021, 15090} }

// runsAs is the user that a container asks for; -1 where its image decides.
func runsAs(pod *corev1.Pod, c *corev1.Container) int64 {
	if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil {
		return *sc.RunAsUser
	}
	if sc := pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil {
		return *sc.RunAsUser
	}
	return -1
}
