package xds

import (
	"net/netip"
	"strconv"
	"strings"
)

// Names of single resources.
const (
	// VirtualOutbound is the listener of unknown destinations.
	VirtualOutbound = "virtualOutbound"
	// VirtualInbound is the listener of the proxy's own inbound ports.
	VirtualInbound = "virtualInbound"
	// Siblings is the listener that lists what other proxies of the same workload
	// use; for our own proxy alone.
	Siblings = "siblings"
	// RootCA is the secret that holds the trust bundle.
	RootCA = "ROOTCA"
	// DefaultCertificate is the secret that every proxy makes for itself.
	DefaultCertificate = "default"
	// PassthroughCluster sends to the original destination.
	PassthroughCluster = "PassthroughCluster"
	// BlackHoleCluster sends nowhere.
	BlackHoleCluster = "BlackHoleCluster"
	// InvalidCluster stands for a backend that cannot be used.
	InvalidCluster = "invalid"
)

// AddressName is the listener name of a destination by address, such as
// 10.96.5.6_80 or [fd00::6]_80.
func AddressName(addr netip.Addr, port uint16) string {
	host := addr.Unmap().String()
	if addr.Unmap().Is6() {
		host = "[" + host + "]"
	}
	return host + "_" + strconv.Itoa(int(port))
}

// namesPrefix begins the name of the list of what is found by name at a port.
const namesPrefix = "*_"

// ParseNamesName reads the name of such a list, such as *_443; for our own proxy
// alone.
func ParseNamesName(name string) (port uint16, ok bool) {
	text, ok := strings.CutPrefix(name, namesPrefix)
	if !ok {
		return 0, false
	}
	return parsePort(text)
}

// ParseAddressName is the inverse of AddressName; ok is false for other names.
func ParseAddressName(name string) (ap netip.AddrPort, ok bool) {
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		return netip.AddrPort{}, false
	}
	host := name[:i]
	bracketed := len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']'
	if bracketed {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	port, ok := parsePort(name[i+1:])
	if err != nil || !ok || addr.Zone() != "" || addr.Is6() != bracketed || addr.Is4In6() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, port), true
}

// HostName is the listener and route name of a destination by name, such as
// api.production.svc.cluster.local:80.
func HostName(host string, port uint16) string { return host + ":" + strconv.Itoa(int(port)) }

// ParseHostName is the inverse of HostName.
func ParseHostName(name string) (host string, port uint16, ok bool) {
	i := strings.LastIndexByte(name, ':')
	if i <= 0 || strings.IndexByte(name[:i], ':') >= 0 {
		return "", 0, false
	}
	port, ok = parsePort(name[i+1:])
	return name[:i], port, ok
}

// ClusterName is the cluster and endpoint name of a service port, such as
// outbound|80||api.production.svc.cluster.local.
func ClusterName(host string, port uint16) string { return SubsetName(host, port, "") }

// SubsetName is the cluster and endpoint name of a subset of a service port,
// such as outbound|80|canary|api.production.svc.cluster.local.
func SubsetName(host string, port uint16, subset string) string {
	return "outbound|" + strconv.Itoa(int(port)) + "|" + subset + "|" + host
}

// ParseClusterName is the inverse of SubsetName.
func ParseClusterName(name string) (host string, port uint16, subset string, ok bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 4 || parts[0] != "outbound" || parts[3] == "" {
		return "", 0, "", false
	}
	port, ok = parsePort(parts[1])
	return parts[3], port, parts[2], ok
}

// InboundName is the cluster and route name of a workload's own port; port 0
// stands for those that are not declared.
func InboundName(port uint16) string { return "inbound|" + strconv.Itoa(int(port)) + "||" }

// PodHost is the DNS name of one pod by its address, such as
// 10-244-0-7.production.pod.cluster.local.
func PodHost(addr netip.Addr, namespace, clusterDomain string) string {
	return strings.NewReplacer(".", "-", ":", "-").Replace(addr.Unmap().String()) + "." + namespace + ".pod." + clusterDomain
}

// ParsePodHost is the inverse of PodHost. Dashes are read as dots when that
// gives an IPv4 address, else as colons.
func ParsePodHost(host, clusterDomain string) (addr netip.Addr, namespace string, ok bool) {
	rest, ok := strings.CutSuffix(host, ".pod."+clusterDomain)
	if !ok {
		return netip.Addr{}, "", false
	}
	dashed, namespace, ok := strings.Cut(rest, ".")
	if !ok || namespace == "" || strings.Contains(namespace, ".") {
		return netip.Addr{}, "", false
	}
	for _, sep := range []string{".", ":"} {
		if addr, err := netip.ParseAddr(strings.ReplaceAll(dashed, "-", sep)); err == nil && PodHost(addr, namespace, clusterDomain) == host {
			return addr, namespace, true
		}
	}
	return netip.Addr{}, "", false
}

// parsePort reads a canonical decimal port from 1 to 65535.
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return uint16(n), true
}
