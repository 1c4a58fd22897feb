// Package version says which build this is, and how the images that belong to
// it are called. It is the one place that both the image builder and the
// manifests take those names from.
package version

import "runtime"

// version is set by the linker:
//
//	-ldflags "-X github.com/weftmesh/weft/internal/version.version=v0.1.0"
var version = "dev"

// DefaultRegistry is the prefix of the image names where none is configured.
const DefaultRegistry = "weft.mesh"

// The images of one build, by the last part of their name.
const (
	ControlImage = "control"
	ProxyImage   = "proxy"
	InitImage    = "init"
)

// Images lists all images of one build.
func Images() []string { return []string{ControlImage, ProxyImage, InitImage} }

// Get returns the version of this build, such as v0.1.0; "dev" when the linker
// was not told.
func Get() string { return version }

// Image returns the full reference of an image of this build, such as
// weft.mesh/proxy:v0.1.0. An empty registry means DefaultRegistry.
func Image(registry, name string) string { return ImageAt(registry, name, version) }

// ImageAt is Image for another version; an empty tag means this build's.
func ImageAt(registry, name, tag string) string {
	if registry == "" {
		registry = DefaultRegistry
	}
	if tag == "" {
		tag = version
	}
	return registry + "/" + name + ":" + tag
}

// GoVersion returns the compiler's version.
func GoVersion() string { return runtime.Version() }
