// Package image makes container images without a container engine: files in,
// one layer, one OCI archive out. The same input gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ErrName means that an image has no complete name.
var ErrName = errors.New("an image needs a full name, such as example.com/owner/name:tag")

// File is one file of an image. Exactly one of Source and Content is used.
type File struct {
	Path    string // absolute, in the image
	Source  string // file on this machine
	Content []byte
	Mode    int64 // 0o555 when zero
}

// Spec says what an image is made of.
type Spec struct {
	Name       string // full reference, with registry and tag
	Files      []File
	Entrypoint []string
	User       string // "uid:gid"
	Env        []string
	Labels     map[string]string
	Arch       string // GOARCH of the programs in it
}

// built is the time stamp of every file and image: the content says what is
// new, and equal input gives equal bytes.
var built = time.Unix(0, 0).UTC()

// Build assembles an image.
func Build(s Spec) (v1.Image, error) {
	if strings.Count(s.Name, "/") < 1 || !strings.Contains(path.Base(s.Name), ":") {
		return nil, fmt.Errorf("%w: %q", ErrName, s.Name)
	}
	layerBytes, err := layer(s.Files)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", s.Name, err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layerBytes)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, l); err != nil {
		return nil, err
	}
	return mutate.ConfigFile(img, config(s, img))
}

func config(s Spec, img v1.Image) *v1.ConfigFile {
	c := &v1.ConfigFile{Architecture: s.Arch, OS: "linux", Created: v1.Time{Time: built}}
	if had, err := img.ConfigFile(); err == nil {
		c.RootFS = had.RootFS
	}
	c.Config = v1.Config{Entrypoint: s.Entrypoint, User: s.User, Env: s.Env, Labels: s.Labels, WorkingDir: "/"}
	c.History = []v1.History{{Created: v1.Time{Time: built}}}
	return c
}

// layer writes the files, with the folders above them, in order of their names.
func layer(files []File) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	seen := map[string]bool{"/": true}
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			return nil, fmt.Errorf("file %q: the path in an image is absolute and clean", f.Path)
		}
		for _, dir := range parents(f.Path) {
			if !seen[dir] {
				seen[dir] = true
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: built}); err != nil {
					return nil, err
				}
			}
		}
		b := f.Content
		if f.Source != "" {
			var err error
			if b, err = os.ReadFile(f.Source); err != nil {
				return nil, err
			}
		}
		mode := f.Mode
		if mode == 0 {
			mode = 0o555
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path[1:], Mode: mode, Size: int64(len(b)), ModTime: built}); err != nil {
			return nil, err
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}

// parents lists the folders above a path, outermost first.
func parents(p string) []string {
	var out []string
	for d := path.Dir(p); d != "/"; d = path.Dir(d) {
		out = append(out, d)
	}
	slices.Reverse(out)
	return out
}

// Write writes images as one OCI archive that container runtimes and, by way
// of the manifest.json in it, docker load understand.
func Write(to io.Writer, name string, img v1.Image) error {
	a := archive{w: tar.NewWriter(to), seen: map[string]bool{}}
	if err := a.add(name, img); err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	return a.w.Close()
}

// archive is an OCI image layout in a tar file.
type archive struct {
	w    *tar.Writer
	seen map[string]bool
}

// dockerImage is an entry of docker's manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a archive) add(name string, img v1.Image) error {
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	conf, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	d := dockerImage{Config: blob(m.Config.Digest), RepoTags: []string{name}}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for i, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return err
		}
		d.Layers = append(d.Layers, blob(m.Layers[i].Digest))
		if err := a.file(blob(m.Layers[i].Digest), b); err != nil {
			return err
		}
	}
	_, tag, _ := strings.Cut(path.Base(name), ":")
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: types.OCIManifestSchema1, Size: int64(len(manifest)), Digest: digest,
		Annotations: map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag},
	}}})
	if err != nil {
		return err
	}
	docker, err := json.Marshal([]dockerImage{d})
	if err != nil {
		return err
	}
	return errors.Join(
		a.file(blob(m.Config.Digest), conf),
		a.file(blob(digest), manifest),
		a.file("index.json", index),
		a.file("manifest.json", docker),
		a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)),
	)
}

func (a archive) file(name string, b []byte) error {
	if a.seen[name] {
		return nil
	}
	a.seen[name] = true
	if err := a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(b)), ModTime: built}); err != nil {
		return err
	}
	_, err := a.w.Write(b)
	return err
}

func blob(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
