package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// Folder is the place of one local mesh.
type Folder struct{ Root string }

// OpenFolder makes the folder's parts where they are missing.
func OpenFolder(root string) (Folder, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return Folder{}, err
	}
	f := Folder{Root: abs}
	for _, d := range []string{f.Config(), filepath.Join(f.Config(), "services"), filepath.Join(f.Config(), "policy"), filepath.Join(f.Config(), "workloads"), f.state("log"), f.state("token"), f.state("identity")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return Folder{}, fmt.Errorf("make the mesh folder: %w", err)
		}
	}
	return f, nil
}

// DefaultFolder is where `weft run` finds the user's mesh when none is named.
func DefaultFolder(getenv func(string) string) string {
	if d := getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "weft")
	}
	return filepath.Join(getenv("HOME"), ".local", "state", "weft")
}

// Config is the folder of YAML that the control plane watches.
func (f Folder) Config() string { return filepath.Join(f.Root, "folder") }

func (f Folder) state(parts ...string) string {
	return filepath.Join(append([]string{f.Root, "state"}, parts...)...)
}

// anchors is the trust bundle that proxies of the mesh start with.
func (f Folder) anchors() string { return f.state("identity", "trust-anchors.pem") }

// tokenKey signs the workloads' tokens; whoever can read it can be anyone.
func (f Folder) tokenKey() string { return f.state("identity", "token-key.pem") }

// LogFile is where the output of a process of the mesh goes.
func (f Folder) LogFile(process string) string { return f.state("log", process+".log") }

// Write puts a file into the config folder as a whole or not at all.
func (f Folder) Write(name string, content []byte) error {
	return writeWhole(filepath.Join(f.Config(), filepath.FromSlash(name)), content, 0o644)
}

// writeNew writes a file that is not there yet; one that is there is the user's.
func (f Folder) writeNew(name string, content []byte) error {
	if _, err := os.Stat(filepath.Join(f.Config(), filepath.FromSlash(name))); err == nil {
		return nil
	}
	return f.Write(name, content)
}

// Remove takes a file out of the config folder; a missing one is no error.
func (f Folder) Remove(name string) error {
	err := os.Remove(filepath.Join(f.Config(), filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeWhole writes beside the target and renames, so that a watcher never
// reads half a file.
func writeWhole(path string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(content); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Chmod(mode); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// documents joins objects into one YAML file under a comment.
func documents(comment string, objects ...any) ([]byte, error) {
	var b strings.Builder
	for _, l := range strings.Split(strings.TrimSpace(comment), "\n") {
		if l != "" {
			b.WriteString("# " + l + "\n")
		}
	}
	for i, o := range objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		y, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		b.Write(y)
	}
	return []byte(b.String()), nil
}
