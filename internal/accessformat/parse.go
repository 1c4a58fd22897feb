package accessformat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrFormat means that a format cannot be read.
var ErrFormat = errors.New("invalid access log format")

// MaxFormat bounds a format, in bytes.
const MaxFormat = 16 << 10

// Op is one piece of a format: a text, or a command.
type Op struct {
	Command Command
	// Text is that of Text, and the command as written of others.
	Text string
	// Names are a header's name and those that stand in for it where it is
	// absent, in lower case.
	Names []string
	// Max is the most bytes of a value; 0 for all.
	Max  int
	Part Part
	// From, To and Unit are of Duration.
	From, To Point
	Unit     time.Duration
	// Time is of StartTime.
	Time []TimePart
}

// Parse reads a format. Its errors name what is wrong.
func Parse(s string) ([]Op, error) {
	if len(s) > MaxFormat {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrFormat, len(s), MaxFormat)
	}
	var out []Op
	var text []byte
	for i := 0; i < len(s); {
		switch {
		case s[i] != '%':
			text = append(text, s[i])
			i++
		case strings.HasPrefix(s[i:], "%%"):
			text = append(text, '%')
			i += 2
		default:
			op, n, err := parseCommand(s[i:])
			if err != nil {
				return nil, err
			}
			if len(text) > 0 {
				out = append(out, Op{Text: string(text)})
				text = text[:0]
			}
			out = append(out, op)
			i += n
		}
	}
	if len(text) > 0 {
		out = append(out, Op{Text: string(text)})
	}
	return out, nil
}

// Unsupported are the commands of a format that have no value here, as written.
func Unsupported(ops []Op) []string {
	var out []string
	for i := range ops {
		if ops[i].Command == Nothing {
			out = append(out, ops[i].Text)
		}
	}
	return out
}

// parseCommand reads %NAME%, %NAME(argument)%, each with :length before the
// last percent sign, at the beginning of s, and says how long it is.
func parseCommand(s string) (op Op, n int, err error) {
	n = 1
	for n < len(s) && (s[n] >= 'A' && s[n] <= 'Z' || s[n] >= '0' && s[n] <= '9' || s[n] == '_') {
		n++
	}
	name, arg, bracket := s[1:n], "", false
	if n < len(s) && s[n] == '(' {
		end := strings.IndexByte(s[n:], ')')
		if end < 0 {
			return op, 0, fmt.Errorf("%w: %q has no closing bracket", ErrFormat, cut(s))
		}
		arg, bracket = s[n+1:n+end], true
		n += end + 1
	}
	if n < len(s) && s[n] == ':' {
		from := n + 1
		for n++; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		}
		if op.Max, err = strconv.Atoi(s[from:n]); err != nil || op.Max <= 0 {
			return op, 0, fmt.Errorf("%w: the length in %q", ErrFormat, cut(s))
		}
	}
	if name == "" || n == len(s) || s[n] != '%' {
		return op, 0, fmt.Errorf("%w: %q is no command; a percent sign is written %%%%", ErrFormat, cut(s))
	}
	n++
	e, ok := lookup(name)
	if !ok {
		return op, 0, fmt.Errorf("%w: the command %s is not known", ErrFormat, s[:n])
	}
	op.Command, op.Text, op.Part, op.From, op.To, op.Unit = e.command, s[:n], e.part, e.from, e.to, time.Millisecond
	if err := op.argument(e.arg, arg, bracket); err != nil {
		return op, 0, fmt.Errorf("%w: %s: %w", ErrFormat, s[:n], err)
	}
	return op, n, nil
}

func cut(s string) string { return s[:min(len(s), 40)] }

func (op *Op) argument(kind argument, arg string, bracket bool) (err error) {
	switch kind {
	case noArgument:
		if bracket {
			return errors.New("it takes no argument")
		}
	case header:
		for _, n := range strings.Split(strings.ToLower(arg), "?") {
			if n == "" || strings.ContainsAny(n, " \t:\"") && n[0] != ':' {
				return errors.New("want the name of a header")
			}
			op.Names = append(op.Names, n)
		}
	case timeFormat:
		op.Time, err = parseTime(arg)
		return err
	case points:
		return op.points(strings.Split(arg, ":"))
	}
	return nil
}

var pointNames = map[string]Point{"DS_RX_BEG": Begin, "DS_RX_END": RequestEnd, "US_TX_BEG": UpstreamBegin, "US_TX_END": UpstreamBegin,
	"US_RX_BEG": UpstreamHead, "DS_TX_BEG": UpstreamHead, "US_RX_END": End, "DS_TX_END": End}

var units = map[string]time.Duration{"ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}

func (op *Op) points(p []string) error {
	if len(p) != 3 {
		return errors.New("want two moments and a unit, such as DS_RX_BEG:DS_TX_END:us")
	}
	var known [3]bool
	op.From, known[0] = pointNames[p[0]]
	op.To, known[1] = pointNames[p[1]]
	op.Unit, known[2] = units[p[2]]
	for i, k := range known {
		if !k {
			return fmt.Errorf("%q is not known", p[i])
		}
	}
	return nil
}
