package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

const split = `apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: canary, namespace: shop}
spec:
  service: api
  backends:
  - {service: stable, weight: WEIGHT}
  - {service: canary, weight: 10}
`

// follow runs a source on a folder into a Store and returns a function that
// waits until the newest World is as wanted.
func follow(t *testing.T, dir string) func(what string, ok func(*world.World) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	store := world.NewStore(world.Settings{Sources: []string{Name}, TrustDomain: "cluster.local", Quiet: time.Millisecond})
	worlds := make(chan *world.World, 100)
	store.OnWorld(func(w *world.World) { worlds <- w })
	ended := make(chan error, 2)
	go func() { ended <- store.Run(ctx) }()
	// The recheck is put off, so that the watch alone can pass the tests.
	go func() { ended <- New(Config{Folder: dir, Recheck: time.Hour}).Run(ctx, store) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		}
	})
	var last *world.World
	return func(what string, ok func(*world.World) bool) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		for last == nil || !ok(last) {
			select {
			case last = <-worlds:
			case <-deadline:
				t.Fatalf("%s did not come to be; last: %+v", what, last)
			}
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func weight(w *world.World) int64 {
	item, ok := w.TrafficSplits[mesh.Ref{Namespace: "shop", Name: "canary"}]
	if !ok {
		return -1
	}
	return item.Obj.Backends[0].MilliWeight / 1000
}

func hasProblem(w *world.World, code, file string, line int, field string) bool {
	for _, p := range w.Problems {
		if p.Code == code && p.Origin.File == file && p.Origin.Line == line && p.Field == field {
			return true
		}
	}
	return false
}

func TestFollowsAFolder(t *testing.T) {
	dir := t.TempDir()
	with := func(w string) string { return strings.Replace(split, "WEIGHT", w, 1) }
	write(t, dir, "split.yaml", with("90"))
	write(t, dir, "notes.txt", "not yaml: [")
	write(t, dir, ".hidden.yaml", "not yaml: [")
	until := follow(t, dir)
	until("the first state", func(w *world.World) bool { return weight(w) == 90 && len(w.Problems) == 0 })

	write(t, dir, "split.yaml", with("50"))
	until("a file written in place", func(w *world.World) bool { return weight(w) == 50 })

	write(t, dir, "split.yaml.tmp", with("40"))
	if err := os.Rename(filepath.Join(dir, "split.yaml.tmp"), filepath.Join(dir, "split.yaml")); err != nil {
		t.Fatal(err)
	}
	until("a file renamed into place", func(w *world.World) bool { return weight(w) == 40 })

	write(t, dir, "split.yaml", with("30")+"\n---\nhalf: [")
	until("a malformed file", func(w *world.World) bool {
		return hasProblem(w, "WEFT0001", "split.yaml", 11, "") && weight(w) == 40
	})
	write(t, dir, "split.yaml", with("-1"))
	until("a bad weight", func(w *world.World) bool {
		return hasProblem(w, "WEFT0201", "split.yaml", 7, "spec.backends[0].weight") && weight(w) == 40 && len(w.Problems) == 1
	})
	write(t, dir, "split.yaml", "")
	until("an emptied file", func(w *world.World) bool {
		return hasProblem(w, "WEFT0001", "split.yaml", 1, "") && weight(w) == 40
	})
	write(t, dir, "split.yaml", with("20"))
	until("a mended file", func(w *world.World) bool { return weight(w) == 20 && len(w.Problems) == 0 })

	write(t, dir, "a/split.yaml", with("7"))
	until("the same object in a file that sorts first, in a new folder", func(w *world.World) bool {
		return weight(w) == 7 && hasProblem(w, "WEFT0004", "split.yaml", 1, "metadata.name")
	})
	write(t, dir, "a/split.yaml", with("8"))
	until("a change in the new folder", func(w *world.World) bool { return weight(w) == 8 })
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	until("the folder is gone", func(w *world.World) bool { return weight(w) == 20 && len(w.Problems) == 0 })
	if err := os.Remove(filepath.Join(dir, "split.yaml")); err != nil {
		t.Fatal(err)
	}
	until("the file is gone", func(w *world.World) bool { return weight(w) == -1 })
}

func TestAFolderThatCannotBeReadKeepsItsObjects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mesh")
	write(t, dir, "split.yaml", strings.Replace(split, "WEIGHT", "90", 1))
	f := OpenFolder(dir)
	events, err := f.Scan()
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	again, err := f.Scan()
	if err == nil {
		t.Fatal("no error for a missing folder")
	}
	w, _ := world.Build("cluster.local", append(events, again...)...)
	if weight(w) != 90 || len(w.Problems) != 1 || w.Problems[0].Code != "WEFT0006" {
		t.Fatalf("got %+v", w)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	back, err := f.Scan()
	if err != nil {
		t.Fatal(err)
	}
	if w, _ = world.Build("cluster.local", append(append(events, again...), back...)...); len(w.Problems) != 0 || weight(w) != 90 {
		t.Fatalf("got %+v", w)
	}
}

func TestAnUnchangedFolderIsNoNews(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "split.yaml", strings.Replace(split, "WEIGHT", "90", 1))
	f := OpenFolder(dir)
	if events, err := f.Scan(); err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	if events, err := f.Scan(); err != nil || len(events) != 0 {
		t.Fatalf("second scan: %v, %v", events, err)
	}
}
