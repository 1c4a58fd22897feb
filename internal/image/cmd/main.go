// Command cmd writes the images of this build as OCI archives, from programs
// that are built already.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/weftmesh/weft/internal/image"
	"github.com/weftmesh/weft/internal/version"
)

// users of the images, by name: the redirect rules know the proxy by its
// user, and the control plane must have another.
var users = map[string]string{
	version.ProxyImage:   "2102:2102",
	version.ControlImage: "2103:2103",
	version.InitImage:    "0:0",
}

func main() {
	bin := flag.String("bin", "dist/bin", "folder with the programs")
	out := flag.String("out", "dist/images", "folder for the archives")
	registry := flag.String("registry", "", "prefix of the images' names; default is the one that install refers to")
	arch := flag.String("arch", runtime.GOARCH, "architecture of the programs")
	flag.Parse()
	if err := write(*bin, *out, *registry, *arch); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func write(bin, out, registry, arch string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, name := range version.Images() {
		program := "weft-" + name
		user, ok := users[name]
		if !ok {
			return errors.New("no user is chosen for image " + name)
		}
		s := image.Spec{
			Name:       version.Image(registry, name),
			Entrypoint: []string{"/" + program},
			User:       user,
			Arch:       arch,
			Labels:     map[string]string{"org.opencontainers.image.title": program, "org.opencontainers.image.version": version.Get(), "org.opencontainers.image.licenses": "Apache-2.0"},
			Files: []image.File{
				{Path: "/" + program, Source: filepath.Join(bin, program)},
				{Path: "/etc/passwd", Mode: 0o444, Content: []byte("root:x:0:0::/:/none\nweft-proxy:x:2102:2102::/:/none\nweft-control:x:2103:2103::/:/none\n")},
				{Path: "/etc/group", Mode: 0o444, Content: []byte("root:x:0:\nweft-proxy:x:2102:\nweft-control:x:2103:\n")},
			},
		}
		file := filepath.Join(out, name+".tar")
		if err := image.WriteFile(file, s); err != nil {
			return err
		}
		fmt.Println(file, s.Name)
	}
	return nil
}
