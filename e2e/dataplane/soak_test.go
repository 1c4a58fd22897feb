package dataplane

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSoak lets connections, endpoints and configuration come and go beside
// steady traffic. No request of the steady clients fails, and in the end the
// proxies hold what they held when they were warm.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("-dataplane.soak=30m runs it")
	}
	app := newEndless(t)
	p := newPair(t, port{protocol: "http", app: app.addr}, port{protocol: "http", app: app.addr}, port{protocol: "http2", app: app.two}, port{protocol: "tcp", app: listen(t, echoBytes)})
	must(t, firstRequest(p.to[0]))
	idle := usageOf(p)
	var steady, churned atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(pause time.Duration, f func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
				if err := f(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var companions []*companion
	for range 3 {
		companions = append(companions, accompany(p.to[0]))
	}
	loop(10*time.Millisecond, func(int) error { // streams
		for _, r := range ask2(t, p.to[2], patience, 20) {
			if r.err != nil || r.status != 200 || r.body != r.id {
				return fmt.Errorf("HTTP/2: %+v", r)
			}
			steady.Add(1)
		}
		return nil
	})
	loop(10*time.Millisecond, func(i int) error { // connections of bytes, a part of them reset
		c := dial(t, p.to[3])
		defer c.Close()
		want := strings.Repeat(fmt.Sprint(i), 1000)
		c.send(want)
		b := make([]byte, len(want))
		if _, err := readFull(c, b); err != nil || string(b) != want {
			return fmt.Errorf("bytes: %w", err)
		}
		if i%3 == 0 {
			c.SetLinger(0)
		}
		churned.Add(1)
		return nil
	})
	loop(200*time.Millisecond, func(i int) error { // crowds that leave in every way
		n := 100
		conns := crowd(t, p.to[0], n, func(j int, c *net.TCPConn) error {
			switch j % 4 {
			case 0:
				return request(c, fmt.Sprintf("/crowd-%d-%d", i, j))
			case 1: // leaves within its head
				_, err := c.Write([]byte("GET /half HTTP/1.1\r\nHo"))
				return err
			case 2: // leaves before the answer
				_, err := c.Write([]byte("POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"))
				return err
			default: // leaves within the answer
				_, err := c.Write([]byte("GET /bytes?300000 HTTP/1.1\r\nHost: a\r\n\r\n"))
				return err
			}
		})
		for _, c := range conns {
			c.SetLinger(0)
		}
		disperse(conns)
		churned.Add(int64(n))
		return nil
	})
	_, second, _ := strings.Cut(p.before[1], ":")
	loop(500*time.Millisecond, func(i int) error { // endpoints
		if i%2 == 1 {
			world.remove(p.name + "-more")
			return nil
		}
		return world.write(p.name+"-more", fmt.Sprintf(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-2, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: p0, port: %[2]s, appProtocol: http}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, namespace: default, name: %[1]s-1}}]
`, p.name, second))
	})
	loop(700*time.Millisecond, func(i int) error { // routes
		return world.write(p.name+"-route", fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: %[1]s, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Turn, value: "%[2]d"}]}}]
    backendRefs: [{name: %[1]s, port: 80}]
`, p.name, i))
	})
	t.Cleanup(func() { world.remove(p.name + "-more"); world.remove(p.name + "-route") })

	samples := map[*sidecar][]int64{}
	every := max(*soakFor/200, 200*time.Millisecond)
	for end := time.Now().Add(*soakFor); time.Now().Before(end) && !t.Failed(); time.Sleep(every) {
		for _, s := range []*sidecar{p.in, p.out} {
			samples[s] = append(samples[s], s.rss())
		}
	}
	close(stop)
	wg.Wait()
	for _, c := range companions {
		median, high := c.end(t)
		t.Logf("steady client: %d requests, median %v, p99 %v", len(c.took), median, high)
	}
	turns := 0
	app.turns.Range(func(any, any) bool { turns++; return true })
	t.Logf("%d streams, %d connections and %d routes came and went", steady.Load(), churned.Load(), turns)
	if turns < 3 {
		t.Errorf("only %d changes of the routes came into effect", turns)
	}
	for _, s := range []*sidecar{p.in, p.out} {
		warm, last := middle(samples[s], 0.25, 0.45), middle(samples[s], 0.8, 1)
		t.Logf("%s: %.1f MiB when warm, %.1f MiB at the end", s.name, float64(warm)/(1<<20), float64(last)/(1<<20))
		if last > warm+warm/5+4<<20 {
			t.Errorf("%s has grown from %.1f to %.1f MiB", s.name, float64(warm)/(1<<20), float64(last)/(1<<20))
		}
	}
	idle.settled(t, p, pooled)
}

// middle is the median of a part of the samples.
func middle(s []int64, from, to float64) int64 {
	part := slices.Sorted(slices.Values(s[int(from*float64(len(s))):int(to*float64(len(s)))]))
	if len(part) == 0 {
		return 0
	}
	return part[len(part)/2]
}
