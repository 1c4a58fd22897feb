package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// errSource means that a suite's module cannot be had or is not what is expected.
var errSource = errors.New("the suite's source")

// change is a piece of a file that is changed.
type change struct{ module, file, from, to string }

// loweredSuites are those that demand a newer Go release than this project's.
// Their sources are copied below dist and changed in these lines: the demanded Go
// release, and the version of the module of the images' sources where the one that
// is named is not served. What the older release cannot read is written out, too
// (desugar).
var loweredSuites = map[string][]change{
	"v1.7.0": {
		{"sigs.k8s.io/gateway-api", "go.mod", "go 1.27.0\n", "go 1.26.0\n"},
		{suiteModule, "go.mod", "go 1.27.0\n", "go 1.26.0\n"},
		{suiteModule, "go.mod", "sigs.k8s.io/gateway-api-conformance-images v0.2.0\n", "sigs.k8s.io/gateway-api-conformance-images v0.1.0\n"},
	},
}

// source is where the copies are; modules/suite-VERSION/go.mod refers to it.
func (b builder) source(module string) string {
	return filepath.Join(b.layout.Source, "dist", "conformance", b.suite, "source", strings.ReplaceAll(module, "/", "_"))
}

// lowered makes the copies and returns the folder of the module that requires
// them. What was changed is told in lowered.diff.
func (b builder) lowered(ctx context.Context) (string, error) {
	changes, ok := loweredSuites[b.suite]
	if !ok {
		return "", fmt.Errorf("%w: version %q is not known; use v1.6.3 or v1.7.0", errSource, b.suite)
	}
	// It is written last, so that with it everything is there.
	done := filepath.Join(b.layout.Source, "dist", "conformance", b.suite, "lowered.diff")
	if _, err := os.Stat(done); err == nil {
		return b.module("suite-" + b.suite), nil
	}
	var diff bytes.Buffer
	copied := map[string]bool{}
	for _, c := range changes {
		to := b.source(c.module)
		if !copied[c.module] {
			copied[c.module] = true
			if err := b.copyModule(ctx, c.module, to); err != nil {
				return "", err
			}
		}
		file := filepath.Join(to, filepath.FromSlash(c.file))
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if bytes.Count(raw, []byte(c.from)) != 1 {
			return "", fmt.Errorf("%w: %s of %s does not have once %q", errSource, file, b.suite, c.from)
		}
		if err := os.WriteFile(file, bytes.Replace(raw, []byte(c.from), []byte(c.to), 1), 0o644); err != nil {
			return "", err
		}
		fmt.Fprintf(&diff, "%s@%s/%s\n%s%s", c.module, b.suite, c.file, marked("-", c.from), marked("+", c.to))
	}
	if err := desugar(ctx, b.module("suite-"+b.suite), &diff); err != nil {
		return "", err
	}
	if err := os.WriteFile(done, diff.Bytes(), 0o644); err != nil {
		return "", err
	}
	return b.module("suite-" + b.suite), nil
}

// marked puts a mark before each line.
func marked(mark, text string) string {
	return mark + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+mark) + "\n"
}

// copyModule unpacks a module as it is served. The go command fetches it, and
// only refuses to use it.
func (b builder) copyModule(ctx context.Context, module, to string) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+b.suite)
	cmd.Dir, cmd.Env = os.TempDir(), append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, failed := cmd.Output()
	var got struct{ Zip, Error string }
	if err := json.Unmarshal(out, &got); err != nil || got.Zip == "" {
		return fmt.Errorf("%w: %s@%s cannot be downloaded: %w", errSource, module, b.suite, errors.Join(failed, errors.New(got.Error)))
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	z, err := zip.OpenReader(got.Zip)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }() // read only
	prefix := module + "@" + b.suite + "/"
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok || !filepath.IsLocal(name) {
			return fmt.Errorf("%w: %s holds %q", errSource, got.Zip, f.Name)
		}
		if err := unpack(f, filepath.Join(to, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	return nil
}

func unpack(f *zip.File, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r) //nolint:gosec // a module of the suite, checked by the go command
	return errors.Join(err, w.Close())
}

// definitions are the CRDs of the suite's own version, which it demands.
func (b builder) definitions() ([]string, error) {
	if _, ok := loweredSuites[b.suite]; !ok {
		return nil, nil // those that weft installs
	}
	return filepath.Glob(filepath.Join(b.source("sigs.k8s.io/gateway-api"), "config", "crd", "standard", "*.yaml"))
}
