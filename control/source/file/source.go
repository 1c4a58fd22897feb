package file

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/weftmesh/weft/control/world"
)

// Name of this source, for world.Settings.Sources.
const Name = "file"

// Config of a Source. Zero durations mean the defaults.
type Config struct {
	// Folder is the root; folders below it are read one level deep.
	Folder string
	Log    *slog.Logger
	// Quiet is how long nothing must happen before the folder is read again;
	// default 15 ms. It waits at most ten times as long.
	Quiet time.Duration
	// Recheck is how often the folder is read although nothing was reported,
	// for file systems that report nothing; default 5 s.
	Recheck time.Duration
}

// Sender takes events in order; *world.Store is one.
type Sender interface {
	Send(ctx context.Context, events ...world.Event) error
}

// Source watches a folder.
type Source struct{ config Config }

// New makes a source; nothing is read before Run.
func New(c Config) *Source {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Quiet == 0 {
		c.Quiet = 15 * time.Millisecond
	}
	if c.Recheck == 0 {
		c.Recheck = 5 * time.Second
	}
	return &Source{c}
}

// Run reads the folder, reports synced, and follows it until the context ends.
// A folder that cannot be read is a problem, not an error; it is tried again.
// An error means that watching is not possible at all, or that to ended.
func (s *Source) Run(ctx context.Context, to Sender) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.config.Folder, err)
	}
	defer w.Close()
	f := OpenFolder(s.config.Folder)
	scan := func() error {
		// Watch first: what changes while it is read is then read again.
		s.watch(w, f)
		events, err := f.Scan()
		if err != nil {
			s.config.Log.Warn("cannot read the folder", "folder", s.config.Folder, "error", err)
		}
		if len(events) == 0 {
			return nil
		}
		return to.Send(ctx, events...)
	}
	if err := scan(); err != nil {
		return err
	}
	if err := to.Send(ctx, world.Synced(Name)); err != nil {
		return err
	}
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	recheck := time.NewTicker(s.config.Recheck)
	defer recheck.Stop()
	var first time.Time // of the reports that wait; zero: none waits
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Events:
			if !ok {
				return fmt.Errorf("watch %s: ended", s.config.Folder)
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
		case err, ok := <-w.Errors:
			if !ok {
				return fmt.Errorf("watch %s: ended", s.config.Folder)
			}
			// An overflow has lost reports; reading all makes up for it.
			s.config.Log.Warn("watching the folder", "error", err)
		case <-recheck.C:
			if err := scan(); err != nil {
				return err
			}
			continue
		case <-quiet.C:
			first = time.Time{}
			if err := scan(); err != nil {
				return err
			}
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(max(0, min(s.config.Quiet, 10*s.config.Quiet-now.Sub(first))))
	}
}

// watch follows the folders that exist now; adding one twice does no harm, and
// one that is gone is forgotten by the watcher itself.
func (s *Source) watch(w *fsnotify.Watcher, f *Folder) {
	_, folders, err := f.list()
	if err != nil {
		return
	}
	for _, d := range folders {
		if err := w.Add(d); err != nil {
			s.config.Log.Warn("cannot watch the folder; it is read every few seconds instead", "folder", d, "error", err)
		}
	}
}
