package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/weftmesh/weft/internal/image"
)

// The images that every cluster has.
const (
	PauseImage   = "localhost/pause:e2e"
	CoreDNSImage = "localhost/coredns:e2e"
	FortioImage  = "localhost/fortio:e2e"
	AppImage     = "localhost/app:e2e" // e2e/app, with a busybox
)

// path is what a shell in an image needs.
const path = "PATH=/bin:/usr/bin:/sbin:/usr/sbin"

// BuildImages makes the archives of the harness's own images and returns
// their files. Pause and the test application are compiled from the tree,
// the others are put together from programs that were built before.
func (l Layout) BuildImages(ctx context.Context, p Programs, log io.Writer) ([]string, error) {
	dir := filepath.Join(l.Cache, "images")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	pause, err := l.compile(ctx, dir, "pause", "./e2e/cluster/pause", log)
	if err != nil {
		return nil, err
	}
	app, err := l.compile(ctx, dir, "app", "./e2e/app", log)
	if err != nil {
		return nil, err
	}
	busybox := image.File{Path: "/bin/busybox", Source: "/bin/busybox"}
	tmp := image.File{Path: "/tmp/.keep", Content: []byte{}, Mode: 0o444}
	var out []string
	for _, s := range []image.Spec{
		{Name: PauseImage, Entrypoint: []string{"/pause"}, Files: []image.File{{Path: "/pause", Source: pause}}},
		{Name: CoreDNSImage, Entrypoint: []string{"/coredns"}, Files: []image.File{{Path: "/coredns", Source: p["coredns"]}}},
		{Name: FortioImage, Entrypoint: []string{"/usr/bin/fortio"}, Files: []image.File{{Path: "/usr/bin/fortio", Source: p["fortio"]}, busybox, tmp}},
		{Name: AppImage, Entrypoint: []string{"/app"}, Files: []image.File{{Path: "/app", Source: app}, busybox, tmp}},
	} {
		s.Arch, s.Env = runtime.GOARCH, []string{path}
		f, err := archive(dir, s)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// compile builds a main package of the tree. The Go build cache makes it
// cheap when nothing changed.
func (l Layout) compile(ctx context.Context, dir, name, pkg string, log io.Writer) (string, error) {
	out := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.Source, log, log
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	return out, nil
}

// archive writes an image's archive unless it was written from the same files
// before: its name carries their hash.
func archive(dir string, s image.Spec) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, s.Name, s.Entrypoint, s.Env, s.Arch)
	for _, f := range s.Files {
		fmt.Fprintln(h, f.Path, f.Mode)
		if f.Source == "" {
			continue
		}
		r, err := os.Open(f.Source)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil {
			return "", err
		}
	}
	base := filepath.Base(s.Name)
	out := filepath.Join(dir, base[:len(base)-len(":e2e")]+"-"+hex.EncodeToString(h.Sum(nil))[:16]+".tar")
	if _, err := os.Stat(out); err == nil {
		return out, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	older, _ := filepath.Glob(filepath.Join(dir, base[:len(base)-len(":e2e")]+"-*.tar"))
	for _, f := range older {
		os.Remove(f) // only takes room
	}
	return out, image.WriteFile(out, s)
}
