package traffic

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster"
)

// Limit tries how much a limit lets through, with nothing that depends on how
// fast the machine is: what is accepted is held until the last answer is clear.
type Limit struct {
	Client Client // with the test application in its container
	Pod    Pod    // the client's, whose proxy keeps the limit
	Server App
	// What is held: gate (HTTP requests that the server holds), upgrade or tcp.
	What string
	// Carried is how many are carried at the same time; Waiting, how many more
	// wait for those; Refused, how many more are sent.
	Carried, Waiting, Refused int
	// Shared is how many of the carried may be in use by others.
	Shared int
	Args   []string // of the client
}

// Met is what came of a try: the sums of all that was sent.
type Met struct {
	Accepted, Refused int
	Codes             map[string]int
	FailedMax         float64 // ms, until a refusal
	UO                int     // refusals that the client's proxy has flagged as overflow
	Why               string
}

// limitTime is the most that one phase of a try takes on a slow machine.
const limitTime = 30 * time.Second

// Try fills what is carried, sends the rest, and lets go once the proxy has
// refused what is beyond the limit, or has had the time to.
func (l Limit) Try(ctx context.Context) (Met, error) {
	name := fmt.Sprintf("gate-%d", time.Now().UnixNano())
	file := "/tmp/" + name
	args := append([]string{"-timeout", "100s"}, l.Args...)
	release := func(ctx context.Context) error {
		_, err := l.Client.Run(ctx, "/bin/busybox", "touch", file)
		return err
	}
	if l.What == "gate" {
		args = append(args, "-header", "x-gate="+name)
		release = func(ctx context.Context) error {
			_, err := l.Server.Tell(ctx, "/open/"+name)
			return err
		}
	} else {
		args = append(args, "-proto", l.What, "-hold-until", file)
	}
	before, err := Flagged(ctx, l.Client.Cluster, l.Pod, "UO")
	if err != nil {
		return Met{}, err
	}
	idle, err := l.busy(ctx)
	if err != nil {
		return Met{}, err
	}
	send := func(n int) <-chan part {
		out := make(chan part, 1)
		go func() {
			r, err := l.Client.Load(ctx, append([]string{"-rate", "1000000", "-for", "90s", "-n", strconv.Itoa(n)}, args...)...)
			out <- part{r, err}
		}()
		return out
	}
	m := Met{Codes: map[string]int{}}
	first, rest := send(l.Carried), (<-chan part)(nil)
	problem := l.filled(ctx, idle)
	if more := l.Waiting + l.Refused; problem == nil && more > 0 {
		rest = send(more)
	}
	switch {
	case rest == nil:
	case l.Waiting > 0:
		problem = l.refusals(ctx, before)
	default: // refused, all of them: nothing has to be let go for that
		problem = m.take(ctx, rest)
		rest = nil
	}
	// Whatever came of it: nobody is left holding.
	if err := release(context.WithoutCancel(ctx)); err != nil {
		return m, errors.Join(problem, err)
	}
	problem = errors.Join(problem, m.take(ctx, first))
	if rest != nil {
		problem = errors.Join(problem, m.take(ctx, rest))
	}
	after, err := Flagged(ctx, l.Client.Cluster, l.Pod, "UO")
	m.UO = int(after - before)
	return m, errors.Join(problem, err)
}

type part struct {
	r   report.Report
	err error
}

// take waits for a part and adds it.
func (m *Met) take(ctx context.Context, from <-chan part) error {
	var r report.Report
	select {
	case p := <-from:
		if p.err != nil {
			return p.err
		}
		r = p.r
	case <-ctx.Done():
		return ctx.Err()
	}
	m.Accepted += r.OK
	m.Refused += r.Failed
	m.FailedMax = max(m.FailedMax, r.FailedMax)
	for code, n := range r.Codes {
		m.Codes[code] += n
	}
	m.Why = strings.TrimSpace(m.Why + " " + r.Why())
	return nil
}

// busy is how many the server holds.
func (l Limit) busy(ctx context.Context) (int, error) {
	out, err := l.Server.Tell(ctx, "/busy/"+l.What)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

// filled waits until the server holds what is carried, and no more comes.
func (l Limit) filled(ctx context.Context, idle int) error {
	last, n := -1, 0
	return within(ctx, limitTime, func() (err error) {
		last = n
		if n, err = l.busy(ctx); err == nil && (n != last || n < idle+l.Carried-l.Shared) {
			err = fmt.Errorf("%d are carried, of %d", n-idle, l.Carried)
		}
		return err
	})
}

// refusals waits until the proxy has refused as many as it is to.
func (l Limit) refusals(ctx context.Context, before float64) error {
	return within(ctx, limitTime, func() error {
		now, err := Flagged(ctx, l.Client.Cluster, l.Pod, "UO")
		if err == nil && int(now-before) < l.Refused {
			err = fmt.Errorf("%.0f were refused as overflow, not %d", now-before, l.Refused)
		}
		return err
	})
}

// within asks until there is no error.
func within(ctx context.Context, limit time.Duration, ok func() error) error {
	var err error
	for began := time.Now(); time.Since(began) < limit && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if err = ok(); err == nil {
			return nil
		}
	}
	return errors.Join(err, ctx.Err())
}

// PodOf finds the pod of a client.
func PodOf(ctx context.Context, c *cluster.Cluster, namespace, name string) (Pod, error) {
	pods, err := Pods(ctx, c, namespace, "")
	if err != nil {
		return Pod{}, err
	}
	for _, p := range pods {
		if p.Metadata.Name == name {
			return p, nil
		}
	}
	return Pod{}, fmt.Errorf("namespace %s has no pod %s", namespace, name)
}
