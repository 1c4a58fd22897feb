package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Limits of a document, against files that are small but expand without end.
const (
	maxDepth = 100
	maxNodes = 200_000
)

// Errors of toJSON.
var (
	errTooLarge = errors.New("the document nests too deep or expands too far")
	errKey      = errors.New("a key is not a plain value")
	errTwice    = errors.New("the key is given twice")
	errNumber   = errors.New("the number cannot be expressed in JSON")
)

// nodeError is an error at a line.
type nodeError struct {
	line int
	path string
	err  error
}

func (e *nodeError) Error() string { return fmt.Sprintf("line %d: %s: %v", e.line, e.path, e.err) }
func (e *nodeError) Unwrap() error { return e.err }

// toJSON turns a YAML node into what encoding/json writes, as Kubernetes reads
// it: keys are strings, timestamps stay text, aliases are expanded.
func toJSON(n *yaml.Node) ([]byte, error) {
	c := converter{}
	v, err := c.value(n, "", 0)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

type converter struct{ nodes int }

// value returns nil, bool, json.Number, string, []value or map[string]value,
// which is the one place where the shape of a document is not known.
func (c *converter) value(n *yaml.Node, path string, depth int) (any, error) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		return nil, &nodeError{n.Line, path, errTooLarge}
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, path, depth+1)
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return c.value(n.Content[0], path, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, e := range n.Content {
			v, err := c.value(e, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		return m, c.mapping(m, n, path, depth)
	}
	return scalar(n, path)
}

func (c *converter) mapping(m map[string]any, n *yaml.Node, path string, depth int) error {
	own := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return &nodeError{k.Line, path, errKey}
		}
		if k.ShortTag() == "!!merge" {
			if err := c.merge(m, own, v, path, depth+1); err != nil {
				return err
			}
			continue
		}
		at := join(path, k.Value)
		if own[k.Value] {
			return &nodeError{k.Line, at, errTwice}
		}
		own[k.Value] = true
		val, err := c.value(v, at, depth+1)
		if err != nil {
			return err
		}
		m[k.Value] = val
	}
	return nil
}

// merge takes in what a merge key (<<) refers to; own keys outrank it.
func (c *converter) merge(m map[string]any, own map[string]bool, v *yaml.Node, path string, depth int) error {
	val, err := c.value(v, path, depth)
	if err != nil {
		return err
	}
	list, ok := val.([]any)
	if !ok {
		list = []any{val}
	}
	for _, e := range list {
		from, ok := e.(map[string]any)
		if !ok {
			return &nodeError{v.Line, path, errKey}
		}
		for k, x := range from {
			if _, has := m[k]; !has && !own[k] {
				m[k] = x
			}
		}
	}
	return nil
}

func scalar(n *yaml.Node, path string) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, &nodeError{n.Line, path, err}
		}
		return b, nil
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return json.Number(strconv.FormatInt(i, 10)), nil
		}
		var u uint64
		if n.Decode(&u) == nil {
			return json.Number(strconv.FormatUint(u, 10)), nil
		}
		return nil, &nodeError{n.Line, path, errNumber}
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, &nodeError{n.Line, path, errNumber}
		}
		return f, nil
	}
	return n.Value, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// lineOf finds the line of a field such as spec.ports[0].name, or of the last
// part of it that exists.
func lineOf(n *yaml.Node, field string) int {
	s, _ := find(n, field, "", 0)
	return s.line
}

// spot is a place in a document: its line, and the path that leads to it.
type spot struct {
	line  int
	field string
}

// under puts the step that leads to a spot before its path.
func (s spot) under(step string) spot {
	if s.field != "" && s.field[0] != '[' {
		step += "."
	}
	s.field = step + s.field
	return s
}

// spotOfType is for the errors of encoding/json, whose paths lack the positions
// in lists: the first element that has a value of the JSON type got there counts.
// An empty type is any. Where there is none the path is the field.
func spotOfType(n *yaml.Node, field, got string) spot {
	s, ok := find(n, field, got, 0)
	if !ok && got != "" {
		s, ok = find(n, field, "", 0)
	}
	if !ok {
		s.field = field
	}
	return s
}

// isType says whether a node is of the type, as encoding/json names it.
func isType(n *yaml.Node, got string) bool {
	got, _, _ = strings.Cut(got, " ") // "number 1.5" is a number
	switch got {
	case "object":
		return n.Kind == yaml.MappingNode
	case "array":
		return n.Kind == yaml.SequenceNode
	case "string":
		return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str"
	case "bool":
		return n.ShortTag() == "!!bool"
	case "number":
		return n.ShortTag() == "!!int" || n.ShortTag() == "!!float"
	}
	return true
}

func find(n *yaml.Node, field, got string, depth int) (at spot, whole bool) {
	if n == nil || depth > maxDepth {
		return spot{}, false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return find(n.Alias, field, got, depth+1)
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return find(n.Content[0], field, got, depth+1)
	case field == "":
		return spot{line: n.Line}, isType(n, got)
	case n.Kind == yaml.SequenceNode:
		return findInList(n, field, got, depth)
	case n.Kind == yaml.MappingNode:
		return findInMap(n, field, got, depth)
	}
	return spot{line: n.Line}, false
}

func findInList(n *yaml.Node, field, got string, depth int) (spot, bool) {
	if strings.HasPrefix(field, "[") {
		num, rest, _ := strings.Cut(field[1:], "]")
		if i, err := strconv.Atoi(num); err == nil && i >= 0 && i < len(n.Content) {
			s, ok := find(n.Content[i], strings.TrimPrefix(rest, "."), got, depth+1)
			return s.under("[" + num + "]"), ok
		}
		return spot{line: n.Line}, false
	}
	for i, e := range n.Content {
		if s, ok := find(e, field, got, depth+1); ok {
			return s.under("[" + strconv.Itoa(i) + "]"), true
		}
	}
	return spot{line: n.Line}, false
}

// findInMap takes the longest key that fits, since keys may hold dots.
func findInMap(n *yaml.Node, field, got string, depth int) (spot, bool) {
	best, bestLen := -1, -1
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i].Value
		rest, ok := strings.CutPrefix(field, k)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(k) > bestLen {
			best, bestLen = i, len(k)
		}
	}
	if best < 0 {
		return spot{line: n.Line}, false
	}
	key := n.Content[best]
	rest := strings.TrimPrefix(field[bestLen:], ".")
	if rest == "" {
		return spot{key.Line, key.Value}, isType(n.Content[best+1], got)
	}
	s, ok := find(n.Content[best+1], rest, got, depth+1)
	s.line = max(s.line, key.Line)
	return s.under(key.Value), ok
}
