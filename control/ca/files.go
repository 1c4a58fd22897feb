package ca

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Files names the files of a Material.
type Files struct {
	Cert, Key string
	// Roots may be empty: the issuer is then the root.
	Roots string
}

// Load reads the files.
func (f Files) Load() (Material, error) {
	var m Material
	for _, x := range []struct {
		what, file string
		to         *[]byte
	}{{"issuer certificate", f.Cert, &m.Cert}, {"issuer key", f.Key, &m.Key}, {"trust anchors", f.Roots, &m.Roots}} {
		if x.file == "" {
			continue
		}
		b, err := os.ReadFile(x.file)
		if err != nil {
			return Material{}, fmt.Errorf("read %s: %w", x.what, err)
		}
		*x.to = b
	}
	return m, nil
}

// LoadOrGenerate reads the files, or makes an authority and writes it if none
// of them exists.
func (f Files) LoadOrGenerate(trustDomain string, now time.Time) (Material, error) {
	m, err := f.Load()
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	for _, file := range []string{f.Cert, f.Key, f.Roots} {
		if _, serr := os.Stat(file); serr == nil {
			return Material{}, fmt.Errorf("%w, though %s exists; remove it to have all made anew", err, file)
		}
	}
	if m, err = Generate(trustDomain, now); err != nil {
		return Material{}, err
	}
	// The roots last: who waits for them may rely on the rest.
	for _, x := range []struct {
		file string
		data []byte
		mode os.FileMode
	}{{f.Key, m.Key, 0o600}, {f.Cert, m.Cert, 0o644}, {f.Roots, m.Roots, 0o644}} {
		if err := writeWhole(x.file, x.data, x.mode); err != nil {
			return Material{}, fmt.Errorf("write generated authority: %w", err)
		}
	}
	return m, nil
}

// writeWhole replaces a file in one step.
func writeWhole(file string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// Watch reads the files again at each interval and hands changes on, until the
// context ends. Reading beats file events here: a mounted Secret is swapped by
// a link, and the files are small. What cannot be read is reported once.
func (f Files) Watch(ctx context.Context, every time.Duration, log *slog.Logger, update func(Material) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last Material
	var failed string
	for {
		m, err := f.Load()
		switch {
		case err != nil && err.Error() != failed:
			log.Error("issuer files cannot be read; the last good ones serve on", "error", err)
			failed = err.Error()
		case err == nil && !m.Equal(last):
			// The authority itself reports what it refuses.
			_ = update(m)
			last, failed = m, ""
		case err == nil:
			failed = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
