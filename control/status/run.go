package status

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/weftmesh/weft/control/translate"
)

// Lease that the leader holds, in the control plane's namespace.
const Lease = "weft-control"

// times of the election: how long a lease holds, how long its holder tries to
// renew it before it gives up, and how long everybody waits between two tries;
// and how often a leader looks whether its statuses still stand there.
type times struct{ lease, renew, retry, check time.Duration }

// defaultTimes are those of Kubernetes' own controllers.
func defaultTimes() times {
	return times{lease: 15 * time.Second, renew: 10 * time.Second, retry: 2 * time.Second, check: time.Minute}
}

// retryDelay is how long a failed write waits for the next attempt.
const retryDelay = 2 * time.Second

// Settings of Run.
type Settings struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Namespace of the lease.
	Namespace string
	// Identity of this replica; empty means the host's name.
	Identity string
	Log      *slog.Logger

	times times // zero: the defaults
}

// Run takes part in the election and writes the statuses of the newest result
// while it leads, until the context ends.
func Run(ctx context.Context, s Settings, results <-chan translate.Result) error {
	if s.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("leader election: %w", err)
		}
		s.Identity = host
	}
	if s.times == (times{}) {
		s.times = defaultTimes()
	}
	// Every replica follows the results, so that a new leader has the newest.
	latest := newLatest()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { latest.follow(ctx, results) })
	for ctx.Err() == nil {
		e, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: s.Namespace, Name: Lease},
				Client:     s.Client.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: s.Identity},
			},
			LeaseDuration: s.times.lease, RenewDeadline: s.times.renew, RetryPeriod: s.times.retry,
			ReleaseOnCancel: true,
			Name:            Lease,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					s.Log.Info("leads: writes statuses", "identity", s.Identity)
					NewWriter(s.Dynamic, s.Log).lead(ctx, latest, s.times.check)
				},
				OnStoppedLeading: func() { s.Log.Info("does not lead any more", "identity", s.Identity) },
			},
		})
		if err != nil {
			return fmt.Errorf("leader election: %w", err)
		}
		e.Run(ctx)
	}
	return ctx.Err()
}

// latest is the newest result, with a signal for each new one.
type latest struct {
	mu      sync.Mutex
	result  *translate.Result
	changed chan struct{} // closed and replaced with each result
}

func newLatest() *latest { return &latest{changed: make(chan struct{})} }

func (l *latest) follow(ctx context.Context, results <-chan translate.Result) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-results:
			l.mu.Lock()
			l.result = &r
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
		}
	}
}

func (l *latest) get() (*translate.Result, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.result, l.changed
}

// lead writes each newest result; what failed is tried again, and what others
// have overwritten is written again.
func (w *Writer) lead(ctx context.Context, l *latest, check time.Duration) {
	look := time.NewTicker(check)
	defer look.Stop()
	for ctx.Err() == nil {
		r, changed := l.get()
		var again <-chan time.Time
		if r != nil {
			if err := w.Write(ctx, r.Statuses); err != nil && ctx.Err() == nil {
				w.log.Warn("statuses not written; trying again", "error", err)
				again = time.After(retryDelay)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		case <-look.C:
			if err := w.Check(ctx); err != nil && ctx.Err() == nil {
				w.log.Warn("statuses not compared; trying again", "error", err)
			}
		}
	}
}
