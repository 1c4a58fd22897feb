package transparent

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/control/ca/localtoken"
)

const (
	gateway = "10.78.0.1" // the bridge, where the control plane is too
	outside = "10.78.0.100"
	proxyID = 2102
)

// world is a mesh: a bridge, workloads, and somebody outside.
type world struct {
	t       *testing.T
	bridge  *space
	outside *space
	state   string
	folder  string
	control *process
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	for _, tool := range []string{"ip", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs the command", tool)
		}
	}
	w := &world{t: t, state: filepath.Join(t.TempDir(), "state"), folder: t.TempDir()}
	if err := os.Mkdir(w.state, 0o700); err != nil {
		t.Fatal(err)
	}
	w.bridge = newSpace(t, "bridge")
	w.bridge.ip("link add br0 type bridge")
	w.bridge.ip("addr add " + gateway + "/24 dev br0")
	w.bridge.ip("link set br0 up")
	w.outside = newSpace(t, "outside")
	w.outside.join(w.bridge, outside)
	return w
}

// run starts the control plane and waits until it is ready.
func (w *world) run(outbound string) {
	w.t.Helper()
	w.control = w.bridge.start("weft-control", 0, os.Environ(), binary(w.t, "weft-control"), "--source", "file", "--dir", w.folder,
		"--state-dir", w.state, "--outbound", outbound, "--listen", gateway+":15012", "--admin-listen", "127.0.0.1:9990")
	get := &http.Client{Transport: &http.Transport{DialContext: w.bridge.dialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	eventually(w.t, "the control plane is ready", func() error { return expect(get, "http://127.0.0.1:9990/ready", 200) })
}

func expect(c *http.Client, url string, status int) error {
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err == nil && r.StatusCode != status {
		err = fmt.Errorf("%s: %s %s", url, r.Status, b)
	}
	return err
}

// write puts a file into the control plane's folder as a whole.
func (w *world) write(name, text string) {
	w.t.Helper()
	tmp := filepath.Join(w.state, "new")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(w.folder, name)); err != nil {
		w.t.Fatal(err)
	}
}

// service writes a Service and its endpoints.
func (w *world) service(name, vip string, port, target int, protocol string, pods ...*pod) {
	w.t.Helper()
	if protocol != "" {
		protocol = ", appProtocol: " + protocol
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec:
  clusterIP: %[2]s
  clusterIPs: [%[2]s]
  ports: [{name: main, port: %[3]d, targetPort: %[4]d, protocol: TCP%[5]s}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: main, port: %[4]d, protocol: TCP}]
endpoints:
`, name, vip, port, target, protocol)
	for _, p := range pods {
		fmt.Fprintf(&b, "- {addresses: [%s], conditions: {ready: true}, targetRef: {kind: Pod, namespace: default, name: %s}}\n", p.address, p.name)
	}
	w.write(name+".yaml", b.String())
}

// split shares api among api-a and api-b.
func (w *world) split(a, b int) {
	w.t.Helper()
	w.write("split.yaml", fmt.Sprintf(`apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: api, namespace: default}
spec:
  service: api
  backends: [{service: api-a, weight: %d}, {service: api-b, weight: %d}]
`, a, b))
}

// pod is a workload: a namespace with rules and a proxy.
type pod struct {
	*space
	w             *world
	name, address string
	proxy         *process
	client        *http.Client
}

// pod makes the namespace and tells the control plane of the pod.
func (w *world) pod(name, address string, ports ...int) *pod {
	w.t.Helper()
	p := &pod{space: newSpace(w.t, name), w: w, name: name, address: address}
	p.join(w.bridge, address)
	var declared []string
	for _, n := range ports {
		declared = append(declared, fmt.Sprintf("{containerPort: %d}", n))
	}
	w.write("pod-"+name+".yaml", fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: default, annotations: {weft.mesh/meshed: "true"}}
spec:
  serviceAccountName: %[1]s
  containers: [{name: app, image: app, ports: [%[3]s]}]
status: {phase: Running, podIP: %[2]s, podIPs: [{ip: %[2]s}]}
`, name, address, strings.Join(declared, ", ")))
	p.client = p.browser()
	return p
}

// browser is a client of its own inside the pod.
func (p *pod) browser() *http.Client {
	tr := &http.Transport{DialContext: p.dialContext, MaxIdleConnsPerHost: 8}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 15 * time.Second}
}

// mesh sets the rules and starts the proxy.
func (p *pod) mesh() {
	p.t.Helper()
	init := p.start("weft-init "+p.name, 0, nil, binary(p.t, "weft-init"))
	select {
	case <-init.done:
	case <-time.After(patience):
		p.t.Fatal("weft-init does not end")
	}
	if init.err != nil {
		p.t.Fatal("the rules cannot be set: ", init.err, "\n", init.log)
	}
	key, err := localtoken.LoadOrCreateKey(filepath.Join(p.w.state, "token-key.pem"))
	if err != nil {
		p.t.Fatal(err)
	}
	token, err := localtoken.Mint(key, localtoken.Claims{Namespace: "default", ServiceAccount: p.name, Pod: p.name}, time.Now(), time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	anchors, err := os.ReadFile(filepath.Join(p.w.state, "trust-anchors.pem"))
	if err != nil {
		p.t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "weft-token-")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token), 0o400); err != nil {
		p.t.Fatal(err)
	}
	for _, f := range []string{dir, file} {
		if err := os.Chown(f, proxyID, proxyID); err != nil {
			p.t.Fatal(err)
		}
	}
	p.proxy = p.start("weft-proxy "+p.name, proxyID, []string{
		"WEFT_CONTROL_ADDRESS=" + gateway + ":15012", "WEFT_CONTROL_NAME=localhost", "WEFT_TRUST_ANCHORS=" + string(anchors),
		"WEFT_TOKEN_FILE=" + file, "POD_NAME=" + p.name, "POD_NAMESPACE=default", "POD_IP=" + p.address, "SERVICE_ACCOUNT=" + p.name,
		"WEFT_OWNER=deployment/" + p.name, "WEFT_LOG=debug",
	}, binary(p.t, "weft-proxy"))
}

func (p *pod) ready() {
	p.t.Helper()
	eventually(p.t, p.name+"'s proxy is ready", func() error { return expect(p.client, "http://127.0.0.1:4191/ready", 200) })
}

// metrics of the pod's proxy.
func (p *pod) metrics() string {
	p.t.Helper()
	r, err := p.client.Get("http://127.0.0.1:4191/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// app is an HTTP application that says who it is and who asked.
type app struct {
	net.Listener
	hits  atomic.Int64
	block chan struct{} // requests for /slow wait until it is closed
	begun chan struct{} // gets one for each of them
}

func (s *space) app(name, address string) *app {
	s.t.Helper()
	a := &app{Listener: s.listen(address), block: make(chan struct{}), begun: make(chan struct{}, 16)}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.hits.Add(1)
		if r.URL.Path == "/slow" {
			a.begun <- struct{}{}
			select {
			case <-a.block:
			case <-time.After(patience):
			}
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("By", name)
		fmt.Fprintf(w, "%s|%s|%s", name, r.Header.Get("L5d-Client-Id"), body)
	})}
	go srv.Serve(a.Listener)
	s.t.Cleanup(func() { srv.Close() })
	return a
}

// ask posts a body and returns the three parts of the app's answer.
func ask(c *http.Client, url, body string) (by, peer, echo string, err error) {
	r, err := c.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return "", "", "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return "", "", "", err
	}
	if r.StatusCode != 200 {
		return "", "", "", fmt.Errorf("%s %s: %s", r.Status, r.Header.Get("Weft-Proxy-Error"), b)
	}
	parts := strings.SplitN(string(b), "|", 3)
	if len(parts) != 3 {
		return "", "", "", fmt.Errorf("the answer is %q", b)
	}
	return parts[0], parts[1], parts[2], nil
}
