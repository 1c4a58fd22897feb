package accessformat

import (
	"fmt"
	"strconv"
	"time"
)

// TimePart is a piece of a point in time, in UTC.
type TimePart struct {
	// Layout is of package time; Text is constant. At most one of both is set.
	Layout, Text string
	// Digits of the fraction of a second, Seconds of the Unix epoch.
	Digits  int
	Seconds bool
}

// iso8601 is what a time without a format looks like.
const iso8601 = "%Y-%m-%dT%H:%M:%E3SZ"

var layouts = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'e': "_2", 'b': "Jan", 'h': "Jan", 'B': "January",
	'a': "Mon", 'A': "Monday", 'I': "03", 'p': "PM", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'z': "-0700", 'Z': "MST"}

// parseTime reads a format of strftime with Envoy's additions: %s is seconds
// of the Unix epoch, %3f digits of the fraction, %E3S seconds with them.
func parseTime(s string) ([]TimePart, error) {
	if s == "" {
		s = iso8601
	}
	var out []TimePart
	text := func(t string) {
		if n := len(out); n > 0 && out[n-1].Text != "" {
			out[n-1].Text += t
			return
		}
		out = append(out, TimePart{Text: t})
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			text(s[i : i+1])
			continue
		}
		if i++; i == len(s) {
			return nil, fmt.Errorf("%q ends with a percent sign", s)
		}
		c := s[i]
		switch {
		case c == '%':
			text("%")
		case c == 's':
			out = append(out, TimePart{Seconds: true})
		case c == 'f':
			out = append(out, TimePart{Digits: 9})
		case c >= '1' && c <= '9' && i+1 < len(s) && s[i+1] == 'f':
			out = append(out, TimePart{Digits: int(c - '0')})
			i++
		case c == 'E' && i+2 < len(s) && s[i+1] >= '1' && s[i+1] <= '9' && s[i+2] == 'S':
			out = append(out, TimePart{Layout: "05"}, TimePart{Text: "."}, TimePart{Digits: int(s[i+1] - '0')})
			i += 2
		case layouts[c] != "":
			// Neighbours that are layouts too cannot be joined: digits would run
			// into each other.
			out = append(out, TimePart{Layout: layouts[c]})
		default:
			return nil, fmt.Errorf("%%%c is not known in a time", c)
		}
	}
	return out, nil
}

// AppendTime writes a point in time.
func AppendTime(b []byte, parts []TimePart, t time.Time) []byte {
	t = t.UTC()
	for i := range parts {
		switch p := &parts[i]; {
		case p.Text != "":
			b = append(b, p.Text...)
		case p.Layout != "":
			b = appendLayout(b, p.Layout, t)
		case p.Seconds:
			b = strconv.AppendInt(b, t.Unix(), 10)
		default:
			n := t.Nanosecond()
			for d := 9; d > p.Digits; d-- {
				n /= 10
			}
			b = appendDigits(b, n, p.Digits)
		}
	}
	return b
}

// appendLayout is quick for what is in most lines.
func appendLayout(b []byte, layout string, t time.Time) []byte {
	switch layout {
	case "2006":
		if y := t.Year(); y >= 0 && y <= 9999 {
			return appendDigits(b, y, 4)
		}
	case "01":
		return appendDigits(b, int(t.Month()), 2)
	case "02":
		return appendDigits(b, t.Day(), 2)
	case "15":
		return appendDigits(b, t.Hour(), 2)
	case "04":
		return appendDigits(b, t.Minute(), 2)
	case "05":
		return appendDigits(b, t.Second(), 2)
	}
	return t.AppendFormat(b, layout)
}

func appendDigits(b []byte, n, digits int) []byte {
	b = append(b, "000000000"[:digits]...)
	for i := len(b) - 1; digits > 0; i, digits = i-1, digits-1 {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}
