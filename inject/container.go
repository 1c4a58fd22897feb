package inject

import (
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The proxy's user; the redirect rules tell its traffic from the application's by it.
const proxyUser int64 = 2102

// The volume with the pod's token.
const (
	tokenVolume   = "weft-token"
	tokenDir      = "/var/run/secrets/weft"
	tokenAudience = "weft"
	tokenSeconds  = int64(3600)
)

// projectedToken is the volume through which the proxy proves who it is.
func projectedToken() corev1.Volume {
	seconds := tokenSeconds
	return corev1.Volume{Name: tokenVolume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: tokenAudience, ExpirationSeconds: &seconds, Path: "token",
		}}},
	}}}
}

// initContainer sets the redirect rules of the pod's network namespace. It is
// root with one capability; netlink needs no other.
func initContainer(f Family, s settings, o Options) corev1.Container {
	args := []string{"--proxy-uid=" + strconv.FormatInt(proxyUser, 10)}
	for _, a := range []struct {
		flag string
		list []string
	}{{"--skip-inbound-ports=", s.skipInbound}, {"--skip-outbound-ports=", s.skipOutbound}, {"--skip-subnets=", s.skipSubnets}} {
		if len(a.list) > 0 {
			args = append(args, a.flag+strings.Join(a.list, ","))
		}
	}
	sec := hardened(0)
	sec.RunAsNonRoot = ptr(false)
	sec.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
	return corev1.Container{
		Name: f.InitContainer(), Image: o.InitImage, ImagePullPolicy: s.pullPolicy, Args: args,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("10Mi")},
		},
		SecurityContext:          sec,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// proxyContainer is the sidecar. As a native one it is an init container that
// never ends and whose startup probe holds back everything after it; as a
// classic one it is the first container, whose postStart hook does the same.
func proxyContainer(t Target, f Family, owner string, s settings, o Options) corev1.Container {
	c := corev1.Container{
		Name: f.ProxyContainer(), Image: s.proxyImage, ImagePullPolicy: s.pullPolicy,
		Env: environment(t, owner, s, o), Ports: proxyPorts(f, s), Resources: s.resources,
		SecurityContext:          hardened(proxyUser),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             []corev1.VolumeMount{{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true}},
		LivenessProbe:            &corev1.Probe{ProbeHandler: get("/live", s.adminPort), InitialDelaySeconds: 10, PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3},
		ReadinessProbe:           &corev1.Probe{ProbeHandler: get("/ready", s.adminPort), InitialDelaySeconds: 2, PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3},
	}
	switch {
	case s.native:
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
		if s.await {
			c.StartupProbe = &corev1.Probe{ProbeHandler: get("/ready", s.adminPort), PeriodSeconds: 1, TimeoutSeconds: 1, FailureThreshold: 120}
		}
	case s.await:
		c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/weft-proxy", "wait"}}}}
	}
	return c
}

// environment is the contract with the proxy (docs/xds.md, A proxy's environment).
func environment(t Target, owner string, s settings, o Options) []corev1.EnvVar {
	host := o.ControlAddress
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	env := []corev1.EnvVar{
		field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"),
		field("POD_IP", "status.podIP"), field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
		{Name: "WEFT_OWNER", Value: owner},
		{Name: "WEFT_CONTROL_ADDRESS", Value: o.ControlAddress},
		{Name: "WEFT_CONTROL_NAME", Value: host},
		{Name: "WEFT_CONTROL_NAMESPACE", Value: o.ControlNamespace},
		{Name: "WEFT_TRUST_DOMAIN", Value: o.TrustDomain},
		{Name: "WEFT_CLUSTER_DOMAIN", Value: o.ClusterDomain},
		{Name: "WEFT_TOKEN_FILE", Value: tokenDir + "/token"},
		{Name: "WEFT_MODE", Value: "redirect"},
		{Name: "WEFT_LOG", Value: s.logLevel},
		{Name: "WEFT_TRUST_ANCHORS", Value: o.TrustAnchors},
	}
	add := func(name, value string) { env = append(env, corev1.EnvVar{Name: name, Value: value}) }
	if s.adminPort != 4191 {
		add("WEFT_ADMIN_LISTEN", ":"+strconv.Itoa(s.adminPort))
	}
	if s.drainSeconds > 0 {
		add("WEFT_DRAIN_SECONDS", strconv.Itoa(s.drainSeconds))
	}
	if s.native {
		add("WEFT_NATIVE_SIDECAR", "1")
	}
	if watchesProcesses(t, owner, s) {
		add("WEFT_WATCH_PROCESSES", "1")
	}
	if m, ok := s.resources.Limits[corev1.ResourceMemory]; ok {
		// The Go runtime collects harder near this, rather than be killed at the limit.
		add("GOMEMLIMIT", strconv.FormatInt(m.Value()/10*9, 10))
	}
	return env
}

// watchesProcesses says whether the sidecar must notice by itself that the
// application has ended: Kubernetes stops native sidecars, but not others.
func watchesProcesses(t Target, owner string, s settings) bool {
	return !s.native && endsByItself(t.Pod, owner) && !t.Pod.Spec.HostPID
}

// proxyPorts declares the ports that dashboards and scrapers know each family by.
func proxyPorts(f Family, s settings) []corev1.ContainerPort {
	port := func(name string, n int) corev1.ContainerPort {
		return corev1.ContainerPort{Name: name, ContainerPort: int32(n), Protocol: corev1.ProtocolTCP}
	}
	stats := "weft-stats"
	prefix := string(f)
	if f == Istio {
		stats = "http-envoy-prom"
	}
	if f == Linkerd {
		return []corev1.ContainerPort{port("linkerd-proxy", 4143), port("linkerd-admin", s.adminPort)}
	}
	return []corev1.ContainerPort{port(prefix+"-proxy", 4143), port(prefix+"-admin", s.adminPort), port(stats, 15090)}
}

// hardened is the security context of both containers, whatever the pod's says.
func hardened(user int64) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr(false), Privileged: ptr(false), ReadOnlyRootFilesystem: ptr(true),
		RunAsNonRoot: ptr(user != 0), RunAsUser: &user, RunAsGroup: &user,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

func get(path string, port int) corev1.ProbeHandler {
	return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(int32(port)), Scheme: corev1.URISchemeHTTP}}
}

func ptr[T any](v T) *T { return &v }
