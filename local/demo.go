package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Demo is what `weft demo` is asked for.
type Demo struct {
	For    time.Duration // 0 runs until it is interrupted
	JSON   bool          // the last line is one JSON object, and nothing else is printed to Out
	Folder string        // empty makes one that is removed at the end
	Rate   int           // requests/s of the load generator
	Front  int           // port of the front; 0 takes 8080, or a free one
	Bin    Binaries
	Out    io.Writer
	Log    *slog.Logger
}

// demoNamespace is where the shop lives.
const demoNamespace = "shop"

// restartPause is how long a dead process of the shop stays away.
const restartPause = 2 * time.Second

// shopRun is one running demonstration.
type shopRun struct {
	Demo
	*mesh
	front     string
	workloads []*workload
	mu        sync.Mutex
	pids      map[string][2]int // process and proxy of each workload that is up
}

// Run starts the shop, shows what happens, and ends everything again.
func (d Demo) Run(ctx context.Context) error {
	root := d.Folder
	if root == "" {
		tmp, err := os.MkdirTemp("", "weft-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		root = tmp
	}
	// The control plane and the proxies outlive the signal until the shop is down.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var ended sync.WaitGroup
	defer ended.Wait()
	defer end()
	f, err := OpenFolder(root)
	if err != nil {
		return err
	}
	if err := layOut(f); err != nil {
		return err
	}
	m, err := join(life, &ended, root, d.Bin, d.Log)
	if err != nil {
		return err
	}
	s := &shopRun{Demo: d, mesh: m, pids: map[string][2]int{}}
	if err := s.plan(); err != nil {
		return err
	}
	return s.run(ctx)
}

// layOut writes the shop's services and its split; files that are there
// already are the user's and stay.
func layOut(f Folder) error {
	for _, s := range []struct {
		name, protocol string
		port           int
	}{{"web", "http", 80}, {"api", "http", 80}, {"api-stable", "http", 80}, {"api-canary", "http", 80}, {"db", "tcp", 5432}} {
		y, err := documents("", serviceObject(demoNamespace, s.name, s.port, s.protocol))
		if err != nil {
			return err
		}
		if err := f.writeNew("services/"+s.name+".yaml", y); err != nil {
			return err
		}
	}
	return f.writeNew("policy/split.yaml", []byte(splitYAML))
}

const splitYAML = `# How the requests to api are shared. Change the weights and save: the next
# requests follow.
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata:
  name: api-canary
  namespace: shop
spec:
  service: api
  backends:
    - service: api-stable
      weight: 90
    - service: api-canary
      weight: 10
`

// plan lists the shop's workloads and gives each its ports.
func (s *shopRun) plan() error {
	type member struct {
		name, role, service, version string
		services                     []string
		upstream                     string
	}
	api := host(demoNamespace, "api", 80)
	db := host(demoNamespace, "db", 5432)
	for _, m := range []member{
		{"db-1", "db", "db", "", []string{"db"}, ""},
		{"api-stable-1", "api", "api-stable", "stable", []string{"api", "api-stable"}, db},
		{"api-stable-2", "api", "api-stable", "stable", []string{"api", "api-stable"}, db},
		{"api-canary-1", "api", "api-canary", "canary", []string{"api", "api-canary"}, db},
		{"web-1", "web", "web", "", []string{"web"}, api},
	} {
		w := &workload{namespace: demoNamespace, service: m.service, pod: m.name, services: m.services,
			labels: map[string]string{"app": m.service}}
		if m.version != "" {
			w.labels["version"] = m.version
		}
		if err := w.allocate(s.ports); err != nil {
			return err
		}
		var err error
		if w.port, err = s.ports.Next(); err != nil {
			return err
		}
		w.args = []string{s.Bin.Weft, "demo", "app", "--role", m.role, "--name", m.name, "--version", m.version, "--listen", loopback(w.port)}
		if m.upstream != "" {
			p, err := s.ports.Next()
			if err != nil {
				return err
			}
			listen := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(p))
			w.upstreams = []Upstream{{Host: m.upstream, Listen: listen}}
			w.args = append(w.args, "--upstream", listen.String())
		}
		if m.role == "web" {
			if w.inbound = s.Front; w.inbound == 0 {
				w.inbound = s.ports.Prefer(8080)
			}
			s.front = "http://" + loopback(w.inbound)
		}
		s.workloads = append(s.workloads, w)
	}
	return nil
}

// run keeps the shop up, under load, until ctx or the asked time ends.
func (s *shopRun) run(ctx context.Context) error {
	if s.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.For)
		defer cancel()
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	// Workloads end after the last answer of the load is in and counted.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, len(s.workloads))
	up := make(chan string, len(s.workloads))
	for _, w := range s.workloads {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := s.supervise(inner, w, up); err != nil {
				failed <- err
			}
		}()
	}
	for range s.workloads {
		select {
		case err := <-failed:
			return err
		case <-up:
		case <-ctx.Done():
			return nil
		}
	}
	// Workloads register a moment before their peers hear of them.
	if err := s.opened(ctx); err != nil {
		return err
	}
	s.announce()
	loadEnded := make(chan struct{})
	go func() { load{url: s.front + "/", rate: s.Rate}.run(ctx); close(loadEnded) }()
	return s.watch(ctx, loadEnded)
}

// supervise keeps one workload up. Only its first start can fail the demo.
func (s *shopRun) supervise(ctx context.Context, w *workload, up chan<- string) error {
	first := true
	for ctx.Err() == nil {
		r, err := s.up(ctx, w)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the demo was ended meanwhile
			}
			if first {
				return err
			}
			s.Log.Warn("cannot start again", "workload", w.pod, "error", err)
			sleep(ctx, restartPause)
			continue
		}
		s.note(w, r)
		if first {
			up <- w.pod
			first = false
		}
		err = s.wait(ctx, w, r)
		s.down(w, r)
		s.note(w, nil)
		if ctx.Err() == nil {
			s.Log.Warn("a workload ended; it is started again", "workload", w.pod, "why", err, "in", restartPause.String())
			sleep(ctx, restartPause)
		}
	}
	return nil
}

// note records the process ids, for whoever wants to kill something.
func (s *shopRun) note(w *workload, r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r == nil {
		delete(s.pids, w.pod)
	} else {
		s.pids[w.pod] = [2]int{r.app.pid(), r.proxy.pid()}
	}
	type pids struct {
		Process int `json:"process"`
		Proxy   int `json:"proxy"`
	}
	all := map[string]pids{}
	for n, p := range s.pids {
		all[n] = pids{p[0], p[1]}
	}
	j, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = writeWhole(s.folder.state("processes.json"), append(j, '\n'), 0o600)
	}
	if err != nil {
		s.Log.Warn("cannot record the process ids", "error", err)
	}
}

func (s *shopRun) announce() {
	if s.JSON {
		return
	}
	fmt.Fprintf(s.Out, `
The shop is open. From web on, every arrow goes through two sidecars and mutual
TLS; you are outside the mesh, so your own requests arrive in plaintext.

    you --> web --> api-stable x2 / api-canary --> db (plain TCP)

  look at it:          curl %s/
  change the split:    edit %s
  kill something:      %s lists the process ids
                       (a dead process is back after %s, the control plane after %s)
  logs:                %s
  put a process of your own beside it:
                       weft run --mesh %s --namespace %s --service NAME --port P -- CMD

Ctrl-C ends everything.

`, s.front, filepath.Join(s.folder.Config(), "policy", "split.yaml"), s.folder.state("processes.json"), restartPause, restartDelay,
		filepath.Dir(s.folder.LogFile("x")), s.folder.Root, demoNamespace)
}
