package file

import (
	"encoding/binary"
	"hash/fnv"

	"gopkg.in/yaml.v3"

	"github.com/weftmesh/weft/control/world"
)

// placeOf keeps the lines of an object's fields, for problems that are found
// when it is translated.
func placeOf(n *yaml.Node) *world.Place {
	h := fnv.New64a()
	var walk func(e *yaml.Node)
	walk = func(e *yaml.Node) {
		// Aliases lead elsewhere, and possibly there again.
		_, _ = h.Write(binary.AppendVarint(nil, int64(e.Line-n.Line)))
		for _, c := range e.Content {
			walk(c)
		}
	}
	walk(n)
	return &world.Place{Layout: h.Sum64(), Line: func(field string) int { return lineOf(n, field) }}
}
