package topology

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weftmesh/weft/bench/app"
	"github.com/weftmesh/weft/control/ca/localtoken"
)

// Programs are builds of ours.
type Programs struct {
	Control, Proxy string
	// ProxyArgs come after Proxy; usually there are none.
	ProxyArgs []string
}

// idleDestinations are known to the outbound sidecar beside those under load,
// so that its memory is that of a workload with 50 destinations.
const idleDestinations = 45

// protocols are the appProtocol of each port.
var protocols = map[app.Kind]string{app.HTTP: "http", app.H2: "kubernetes.io/h2c", app.GRPC: "grpc", app.TCP: "linkerd.io/opaque", app.Bulk: "linkerd.io/opaque"}

// Weft starts a control plane of its own and the two sidecars, everything as
// it is by default.
func (w *World) Weft(ctx context.Context, name string, bin Programs) (_ *Pair, err error) {
	dir, err := w.folder(name)
	if err != nil {
		return nil, err
	}
	in, out, err := w.sidecarPorts(app.Kinds())
	if err != nil {
		return nil, err
	}
	p := &Pair{Peer: name, At: addresses(out)}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	var idle []string
	for i := range idleDestinations {
		n, err := w.ports.Next()
		if err != nil {
			return nil, err
		}
		idle = append(idle, fmt.Sprintf("%s:80=%s", serviceName(idleService(i)), loopback(n)))
	}
	var admin [3]string
	for i := range admin {
		n, err := w.ports.Next()
		if err != nil {
			return nil, err
		}
		admin[i] = loopback(n)
	}
	xds, err := w.ports.Next()
	if err != nil {
		return nil, err
	}
	mesh := filepath.Join(dir, "mesh")
	if err := os.MkdirAll(mesh, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(mesh, "all.yaml"), []byte(objects(in)), 0o600); err != nil {
		return nil, err
	}
	key := filepath.Join(dir, "token-key.pem")
	control, err := start(dir, name+"-control", nil, bin.Control, "--source", "file", "--dir", mesh, "--state-dir", filepath.Join(dir, "state"),
		"--issuer-cert", w.PKI.CA.Cert, "--issuer-key", w.PKI.CA.Key, "--trust-anchors", w.PKI.CA.Cert, "--token-key", key,
		"--listen", loopback(xds), "--admin-listen", admin[2], "--webhook-listen", "")
	if err != nil {
		return nil, err
	}
	p.others = append(p.others, control)
	if err := control.await(ctx, 20*time.Second, func() bool { return ready(ctx, admin[2]) }); err != nil {
		return nil, err
	}
	env := func(account, pod, adminListen string, more ...string) ([]string, error) {
		file, err := token(dir, key, account, pod)
		return append([]string{"WEFT_MODE=none", "WEFT_CONTROL_ADDRESS=" + loopback(xds), "WEFT_CONTROL_NAME=localhost", "WEFT_TRUST_ANCHORS_FILE=" + w.PKI.CA.Cert,
			"WEFT_TOKEN_FILE=" + file, "POD_NAMESPACE=default", "POD_IP=127.0.0.1", "POD_NAME=" + pod, "SERVICE_ACCOUNT=" + account,
			"WEFT_ADMIN_LISTEN=" + adminListen, "WEFT_STATS_LISTEN=", "WEFT_HEALTH_LISTEN="}, more...), err
	}
	var inbound, upstreams []string
	for _, k := range app.Kinds() {
		inbound = append(inbound, loopback(in[k])+"="+w.App[k])
		upstreams = append(upstreams, serviceName("api-"+string(k))+":80="+loopback(out[k]))
	}
	e, err := env("api", "api-1", admin[0], "WEFT_INBOUND="+strings.Join(inbound, ","))
	if err != nil {
		return nil, err
	}
	proxy := append([]string{bin.Proxy}, bin.ProxyArgs...)
	if p.In, err = start(dir, name+"-in", e, proxy...); err != nil {
		return nil, err
	}
	if e, err = env("client", "client-1", admin[1], "WEFT_UPSTREAMS="+strings.Join(append(upstreams, idle...), ",")); err != nil {
		return nil, err
	}
	if p.Out, err = start(dir, name+"-out", e, proxy...); err != nil {
		return nil, err
	}
	for i, x := range []*Process{p.In, p.Out} {
		if err := x.await(ctx, 20*time.Second, func() bool { return ready(ctx, admin[i]) }); err != nil {
			return nil, err
		}
	}
	p.Admin = [2]string{admin[1], admin[0]}
	return p, nil
}

func token(dir, keyFile, account, pod string) (string, error) {
	key, err := localtoken.LoadOrCreateKey(keyFile)
	if err != nil {
		return "", err
	}
	t, err := localtoken.Mint(key, localtoken.Claims{Namespace: "default", ServiceAccount: account, Pod: pod}, time.Now(), 48*time.Hour)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "token-"+pod)
	return file, os.WriteFile(file, []byte(t), 0o600)
}

func ready(ctx context.Context, admin string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/ready", nil)
	if err != nil {
		return false
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	a.Body.Close()
	return a.StatusCode == http.StatusOK
}

func serviceName(service string) string { return service + ".default.svc.cluster.local" }

func idleService(i int) string { return fmt.Sprintf("idle-%d", i) }

// objects is the mesh: one application pod behind a Service for each kind, the
// client's pod, and Services that nobody calls.
func objects(in map[app.Kind]int) string {
	var b strings.Builder
	service := func(name, protocol string, target int) {
		fmt.Fprintf(&b, `apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec: {selector: {app: api}, ports: [{name: main, port: 80, targetPort: %[3]d, appProtocol: %[2]s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: main, port: %[3]d}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, namespace: default, name: api-1}}]
---
`, name, protocol, target)
	}
	var ports []string
	for _, k := range app.Kinds() {
		service("api-"+string(k), protocols[k], in[k])
		ports = append(ports, fmt.Sprintf("{containerPort: %d}", in[k]))
	}
	for i := range idleDestinations {
		service(idleService(i), protocols[app.HTTP], in[app.HTTP])
	}
	for _, p := range [][2]string{{"api", "ports: [" + strings.Join(ports, ", ") + "]"}, {"client", ""}} {
		spec := "name: main"
		if p[1] != "" {
			spec += ", " + p[1]
		}
		fmt.Fprintf(&b, `apiVersion: v1
kind: Pod
metadata: {name: %[1]s-1, namespace: default, labels: {app: %[1]s}, annotations: {weft.mesh/meshed: "true"}}
spec: {serviceAccountName: %[1]s, containers: [{%[2]s}]}
status: {phase: Running, podIP: 127.0.0.1}
---
`, p[0], spec)
	}
	return b.String()
}
