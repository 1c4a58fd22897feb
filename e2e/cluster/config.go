package cluster

import (
	"fmt"
	"os"
)

// writeConfigs writes the configuration files of the node's processes.
func (c *Cluster) writeConfigs() error {
	for _, f := range []struct{ name, text string }{
		{"containerd.toml", c.containerdConfig()},
		{"kubelet.yaml", c.kubeletConfig()},
		{"kube-proxy.yaml", c.kubeProxyConfig()},
		{"resolv.conf", "nameserver " + DNSServiceIP + "\n"},
		{"cni/10-" + network + ".conflist", c.cniConfig()},
	} {
		if err := os.WriteFile(c.in(f.name), []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) cniConfig() string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": %q, "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "loopback"}
]}
`, network, c.in("run", "ipam"), PodCIDR)
}

// containerdConfig keeps all that containerd makes below the root, the pods'
// network namespaces included: what is below the root is ours to clean.
func (c *Cluster) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = %q
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, c.in("containerd"), c.in("run", "containerd"), c.containerdSocket(), c.in("containerd", "opt"), PauseImage, c.in("run", "runc"), cniDir, c.in("cni"))
}

// kubeletConfig also suits a machine with cgroup v1, whose hierarchy of pods
// the kubelet does not set up.
func (c *Cluster) kubeletConfig() string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: %q
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: %q}}
authorization: {mode: AlwaysAllow}
tlsCertFile: %q
tlsPrivateKeyFile: %q
clusterDomain: cluster.local
clusterDNS: [%s]
resolvConf: %q
volumePluginDir: %q
podLogsDir: %q
evictionHard: {imagefs.available: 1%%, nodefs.available: 1%%, memory.available: 100Mi}
imageGCHighThresholdPercent: 100
maxPods: 200
serializeImagePulls: false
syncFrequency: 5s
nodeStatusUpdateFrequency: 2s
`, "unix://"+c.containerdSocket(), c.pki("ca.crt"), c.pki("kubelet.crt"), c.pki("kubelet.key"), DNSServiceIP, c.in("resolv.conf"), c.in("kubelet", "plugins"), c.in("podlogs"))
}

func (c *Cluster) kubeProxyConfig() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: %q}
clusterCIDR: %s
hostnameOverride: %s
iptables: {minSyncPeriod: 100ms, syncPeriod: 30s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, c.Kubeconfig(), PodCIDR, NodeName)
}

func (c *Cluster) etcdArgs() []string {
	return []string{c.programs["etcd"],
		"--data-dir=" + c.in("etcd"), "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--log-level=warn", "--unsafe-no-fsync"}
}

func (c *Cluster) apiServerArgs() []string {
	return []string{c.programs["kube-apiserver"],
		"--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--advertise-address=" + NodeIP, "--secure-port=" + APIPort,
		"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"), "--client-ca-file=" + c.pki("ca.crt"),
		"--service-account-key-file=" + c.pki("sa.pub"), "--service-account-signing-key-file=" + c.pki("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-cluster-ip-range=" + ServiceCIDR, "--authorization-mode=RBAC", "--allow-privileged=true",
		"--kubelet-client-certificate=" + c.pki("admin.crt"), "--kubelet-client-key=" + c.pki("admin.key"), "--kubelet-certificate-authority=" + c.pki("ca.crt"),
		// The node's name does not resolve: exec, logs and port-forward need its address.
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + c.pki("ca.crt"), "--proxy-client-cert-file=" + c.pki("front.crt"), "--proxy-client-key-file=" + c.pki("front.key"),
		"--requestheader-allowed-names=front-proxy", "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--enable-aggregator-routing=true",
		"--shutdown-delay-duration=0s", "--profiling=false",
	}
}

func (c *Cluster) controllerArgs() []string {
	return append(c.clientArgs("kube-controller-manager"),
		"--service-account-private-key-file="+c.pki("sa.key"), "--root-ca-file="+c.pki("ca.crt"),
		"--cluster-signing-cert-file="+c.pki("ca.crt"), "--cluster-signing-key-file="+c.pki("ca.key"),
		"--use-service-account-credentials=false", "--allocate-node-cidrs=false")
}

func (c *Cluster) schedulerArgs() []string { return c.clientArgs("kube-scheduler") }

func (c *Cluster) clientArgs(program string) []string {
	k := c.Kubeconfig()
	return []string{c.programs[program], "--kubeconfig=" + k, "--authentication-kubeconfig=" + k, "--authorization-kubeconfig=" + k, "--leader-elect=false", "--profiling=false"}
}

func (c *Cluster) kubeletArgs() []string {
	return []string{c.programs["kubelet"], "--config=" + c.in("kubelet.yaml"), "--kubeconfig=" + c.Kubeconfig(), "--root-dir=" + c.in("kubelet"),
		"--cert-dir=" + c.in("kubelet", "certs"), "--hostname-override=" + NodeName, "--node-ip=" + NodeIP, "--v=1"}
}

func (c *Cluster) kubeProxyArgs() []string {
	return []string{c.programs["kube-proxy"], "--config=" + c.in("kube-proxy.yaml")}
}
