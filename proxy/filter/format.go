package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/proxy/http"
)

// ErrFormat means that a value with commands cannot be compiled.
var ErrFormat = errors.New("invalid value")

// Facts are what the commands of a format tell; nil tells nothing.
type Facts struct {
	// Client is where the request came from, Local what was dialled.
	Client, Local netip.AddrPort
	// Route is the rule's name, Cluster the backend's.
	Route, Cluster string
	Start          time.Time
	// Request is what a response's format reads; only its head's fields, and
	// only while they are valid.
	Request *http.Request
}

// Format is a value with commands between percent signs, as Envoy writes them;
// %% stands for a percent sign. It is immutable.
type Format struct{ parts []part }

// part is a text, or a command.
type part struct {
	text    string
	command command
	name    string // of REQ, lower case
	or      string // its alternative
	limit   int    // of bytes; 0 for none
}

type command uint8

const (
	textOnly command = iota
	reqField
	clientAddress
	clientIP
	clientPort
	localAddress
	localIP
	localPort
	routeName
	clusterName
	startTime
)

var commands = map[string]command{
	"REQ":                                           reqField,
	"DOWNSTREAM_REMOTE_ADDRESS":                     clientAddress,
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        clientIP,
	"DOWNSTREAM_REMOTE_PORT":                        clientPort,
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              clientAddress,
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": clientIP,
	"DOWNSTREAM_LOCAL_ADDRESS":                      localAddress,
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         localIP,
	"DOWNSTREAM_LOCAL_PORT":                         localPort,
	"ROUTE_NAME":                                    routeName,
	"UPSTREAM_CLUSTER":                              clusterName,
	"START_TIME":                                    startTime,
}

// NewFormat compiles a value. A percent sign that begins no command stands for
// itself; a command that is not known is an error.
func NewFormat(v string) (*Format, error) {
	f := &Format{}
	var text []byte
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c < 0x20 && c != '\t' || c == 0x7f {
			return nil, fmt.Errorf("%w: control characters", ErrFormat)
		}
		if c != '%' || i+1 == len(v) {
			text = append(text, c)
			continue
		}
		end := strings.IndexByte(v[i+1:], '%')
		switch {
		case v[i+1] == '%':
			i++
			text = append(text, '%')
		case v[i+1] < 'A' || v[i+1] > 'Z' || end <= 0:
			text = append(text, '%')
		default:
			p, err := newCommand(v[i+1 : i+1+end])
			if err != nil {
				return nil, err
			}
			f.parts = append(f.parts, part{text: string(text)}, p)
			text = text[:0]
			i += end + 1
		}
	}
	f.parts = append(f.parts, part{text: string(text)})
	return f, nil
}

// newCommand reads NAME, NAME(argument) and NAME(argument):limit.
func newCommand(s string) (p part, err error) {
	name, rest, has := strings.Cut(s, "(")
	arg, limit, closed := rest, "", !has
	if has {
		if i := strings.LastIndexByte(rest, ')'); i >= 0 {
			arg, limit, closed = rest[:i], rest[i+1:], true
		}
	}
	c, known := commands[name]
	p.command = c
	if !known || !closed {
		return p, fmt.Errorf("%w: the command %%%s%% is not supported (a percent sign is written %%%%)", ErrFormat, s)
	}
	if limit != "" {
		if p.limit, err = strconv.Atoi(strings.TrimPrefix(limit, ":")); err != nil || limit[0] != ':' || p.limit <= 0 {
			return p, fmt.Errorf("%w: the length of %%%s%%", ErrFormat, s)
		}
	}
	switch {
	case p.command == reqField:
		p.name, p.or, _ = strings.Cut(strings.ToLower(arg), "?")
		if p.name == "" {
			return p, fmt.Errorf("%w: %%%s%% names no header", ErrFormat, s)
		}
	case has && p.command == startTime && arg != "":
		return p, fmt.Errorf("%w: a format of START_TIME", ErrFormat)
	}
	return p, nil
}

// Constant is the text of a value without commands.
func (f *Format) Constant() (string, bool) {
	if len(f.parts) == 1 {
		return f.parts[0].text, true
	}
	return "", false
}

// Append writes the value. What is not known is written as a hyphen.
func (f *Format) Append(b []byte, r *http.Request, facts *Facts) []byte {
	if facts == nil {
		facts = &Facts{}
	}
	if r == nil {
		r = facts.Request
	}
	for i := range f.parts {
		p := &f.parts[i]
		b = append(b, p.text...)
		if p.command == textOnly {
			continue
		}
		from := len(b)
		if b = p.append(b, r, facts); len(b) == from {
			b = append(b, '-')
		}
		if p.limit > 0 {
			b = b[:min(len(b), from+p.limit)]
		}
	}
	return b
}

func (p *part) append(b []byte, r *http.Request, facts *Facts) []byte {
	switch p.command {
	case reqField:
		if r != nil {
			if v, ok := requestValue(r, p.name); ok {
				return append(b, v...)
			}
			v, _ := requestValue(r, p.or)
			return append(b, v...)
		}
	case clientAddress:
		return address(b, facts.Client)
	case clientIP:
		return ip(b, facts.Client)
	case clientPort:
		return strconv.AppendUint(b, uint64(facts.Client.Port()), 10)
	case localAddress:
		return address(b, facts.Local)
	case localIP:
		return ip(b, facts.Local)
	case localPort:
		return strconv.AppendUint(b, uint64(facts.Local.Port()), 10)
	case routeName:
		return append(b, facts.Route...)
	case clusterName:
		return append(b, facts.Cluster...)
	case startTime:
		return facts.Start.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	case textOnly:
	}
	return b
}

func address(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return a.AppendTo(b)
}

func ip(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return a.Addr().AppendTo(b)
}

// requestValue is a field, or what a pseudo-header stands for.
func requestValue(r *http.Request, name string) ([]byte, bool) {
	switch name {
	case "":
		return nil, false
	case ":method":
		return r.Method, true
	case ":authority", "host":
		return r.Authority, true
	case ":path":
		return r.Target, true
	case ":scheme":
		return r.Scheme, len(r.Scheme) > 0
	}
	return http.Get(r.Fields, name)
}
