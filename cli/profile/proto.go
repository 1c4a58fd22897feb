package profile

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/weftmesh/weft/internal/linkerdapi"
)

// errProto means that a text is not protobuf definitions with services.
var errProto = errors.New("not protobuf definitions with a service")

// fromProto makes a route of each method of each service.
func fromProto(raw []byte) ([]linkerdapi.Route, error) {
	p := parser{words: words(string(raw))}
	for len(p.words) > 0 {
		switch w := p.next(); w.text {
		case "package":
			p.pkg = p.next().text + "."
			p.skip()
		case "service":
			if err := p.service(); err != nil {
				return nil, err
			}
		case ";":
		default:
			p.skip()
		}
	}
	if len(p.routes) == 0 {
		return nil, errProto
	}
	return p.routes, nil
}

// word is a token and its line.
type word struct {
	text string
	line int
}

type parser struct {
	words  []word
	pkg    string
	routes []linkerdapi.Route
}

func (p *parser) next() word {
	if len(p.words) == 0 {
		return word{}
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

// skip passes over the rest of a statement: up to its semicolon, or its block.
func (p *parser) skip() {
	depth := 0
	for len(p.words) > 0 {
		switch p.next().text {
		case "{":
			depth++
		case "}":
			if depth--; depth <= 0 {
				return
			}
		case ";":
			if depth == 0 {
				return
			}
		}
	}
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (p *parser) service() error {
	name := p.next()
	if open := p.next(); !identifier.MatchString(name.text) || open.text != "{" {
		return fmt.Errorf("%w: line %d: a service has a name and a block", errProto, name.line)
	}
	for {
		switch w := p.next(); w.text {
		case "}":
			return nil
		case "":
			return fmt.Errorf("%w: service %s is not closed", errProto, name.text)
		case "rpc":
			m := p.next()
			if !identifier.MatchString(m.text) {
				return fmt.Errorf("%w: line %d: %q is no name of a method", errProto, m.line, m.text)
			}
			path := "/" + p.pkg + name.text + "/" + m.text
			p.routes = append(p.routes, linkerdapi.Route{Name: m.text, Condition: &linkerdapi.RequestMatch{Method: http.MethodPost, PathRegex: regexp.QuoteMeta(path)}})
			p.skip()
		case ";":
		default:
			p.skip()
		}
	}
}

// words splits definitions into names, strings and signs; comments are left out.
func words(s string) []word {
	var out []word
	line := 1
	for i := 0; i < len(s); {
		c := s[i]
		end := i + 1
		keep := true
		switch {
		case c == '\n' || c == ' ' || c == '\t' || c == '\r':
			keep = false
		case strings.HasPrefix(s[i:], "//"):
			end, keep = until(s, i, "\n", 0), false
		case strings.HasPrefix(s[i:], "/*"):
			end, keep = until(s, i+2, "*/", 2), false
		case c == '"' || c == '\'':
			for end < len(s) && s[end] != c && s[end] != '\n' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(s))
		case name(c):
			for end < len(s) && name(s[end]) {
				end++
			}
		}
		if keep {
			out = append(out, word{s[i:end], line})
		}
		line += strings.Count(s[i:end], "\n")
		i = end
	}
	return out
}

// until finds the end of a comment.
func until(s string, from int, mark string, and int) int {
	if n := strings.Index(s[from:], mark); n >= 0 {
		return from + n + and
	}
	return len(s)
}

func name(c byte) bool {
	return c == '_' || c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
