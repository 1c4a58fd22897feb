package image

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile builds an image and writes its archive. The file appears in one
// rename, complete.
func WriteFile(file string, s Spec) error {
	img, err := Build(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // no longer there after the rename
	if err := Write(f, s.Name, img); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("image %s: %w", s.Name, err)
	}
	return os.Rename(f.Name(), file)
}
