package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func spec(t *testing.T) Spec {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!program"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Spec{
		Name: "weft.mesh/proxy:v1", Entrypoint: []string{"/bin/program"}, User: "2102:2102", Arch: "amd64",
		Files: []File{{Path: "/etc/passwd", Content: []byte("x"), Mode: 0o444}, {Path: "/bin/program", Source: program}},
	}
}

// unpack reads an archive into name → content.
func unpack(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil { // empty for a folder
			t.Fatal(err)
		}
	}
}

func TestArchiveIsAnOCILayoutThatNamesTheImage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proxy.tar")
	if err := WriteFile(file, spec(t)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b)
	for name, content := range files {
		if digest, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
				t.Errorf("%s has other content than its name says", name)
			}
		}
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(files["index.json"], &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("index.json: %s %v", files["index.json"], err)
	}
	m := index.Manifests[0]
	if m.Annotations["io.containerd.image.name"] != "weft.mesh/proxy:v1" || m.Annotations["org.opencontainers.image.ref.name"] != "v1" {
		t.Errorf("annotations: %v", m.Annotations)
	}
	if files[blob(m.Digest)] == nil {
		t.Errorf("the manifest %s is missing", m.Digest)
	}
	if !bytes.Contains(files["oci-layout"], []byte("1.0.0")) {
		t.Errorf("oci-layout: %s", files["oci-layout"])
	}
	// The same file, read as docker load reads it.
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.Config.User != "2102:2102" || c.Config.Entrypoint[0] != "/bin/program" || len(c.RootFS.DiffIDs) != 1 {
		t.Errorf("configuration: %+v", c)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	inner, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := unpack(t, inner); string(got["bin/program"]) != "#!program" || string(got["etc/passwd"]) != "x" || got["bin/"] == nil {
		t.Errorf("layer: %q", got)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	s := spec(t)
	var all [2]bytes.Buffer
	for i := range all {
		img, err := Build(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(&all[i], s.Name, img); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(all[0].Bytes(), all[1].Bytes()) {
		t.Error("two builds of the same image differ")
	}
}

func TestBadSpecsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"no name":       func(s *Spec) { s.Name = "" },
		"no tag":        func(s *Spec) { s.Name = "weft.mesh/proxy" },
		"no registry":   func(s *Spec) { s.Name = "proxy:v1" },
		"relative path": func(s *Spec) { s.Files[0].Path = "etc/passwd" },
		"dotted path":   func(s *Spec) { s.Files[0].Path = "/etc/../passwd" },
		"missing file":  func(s *Spec) { s.Files[1].Source = "/nonexistent/program" },
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(t)
			change(&s)
			if err := WriteFile(filepath.Join(t.TempDir(), "x.tar"), s); err == nil {
				t.Error("accepted")
			}
		})
	}
}
