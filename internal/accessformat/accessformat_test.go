package accessformat

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	ops, err := Parse(`[%START_TIME%] %REQ(X-A?:PATH):5% 100%% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%%FILTER_STATE(a:b)%` + "\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		c    Command
		text string
	}{{Text, "["}, {StartTime, "%START_TIME%"}, {Text, "] "}, {Request, "%REQ(X-A?:PATH):5%"}, {Text, " 100% "},
		{UpstreamHost, "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}, {Nothing, "%FILTER_STATE(a:b)%"}, {Text, "\n"}}
	if len(ops) != len(want) {
		t.Fatalf("%+v", ops)
	}
	for i, w := range want {
		if ops[i].Command != w.c || ops[i].Text != w.text {
			t.Errorf("%d: %+v", i, ops[i])
		}
	}
	if o := ops[3]; o.Max != 5 || strings.Join(o.Names, " ") != "x-a :path" {
		t.Errorf("%+v", o)
	}
	if ops[5].Part != WithoutPort {
		t.Errorf("%+v", ops[5])
	}
	if u := Unsupported(ops); len(u) != 1 || u[0] != "%FILTER_STATE(a:b)%" {
		t.Errorf("%q", u)
	}
}

func TestBadFormats(t *testing.T) {
	for in, tell := range map[string]string{
		"100%":                           "percent sign",
		"%%%":                            "percent sign",
		"%lower%":                        "percent sign",
		"%PROTOCOL":                      "percent sign",
		"%REQ(a%":                        "bracket",
		"%REQ()%":                        "name of a header",
		"%REQ(a b)%":                     "name of a header",
		"%REQ(a):0%":                     "length",
		"%REQ(a):99999999999999999999%":  "length",
		"%SOMETHING%":                    "%SOMETHING% is not known",
		"%PROTOCOL(x)%":                  "no argument",
		"%START_TIME(%Q)%":               "%Q",
		"%START_TIME(a%)%":               "percent sign",
		"%COMMON_DURATION(a:b)%":         "two moments",
		"%COMMON_DURATION(a:b:ms)%":      `"a"`,
		strings.Repeat("x", MaxFormat+1): "limit",
	} {
		if _, err := Parse(in); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tell) {
			t.Errorf("%.40q: %v, want %q", in, err, tell)
		}
	}
}

func TestTime(t *testing.T) {
	at := time.Date(2026, 3, 7, 4, 5, 6, 70809010, time.FixedZone("x", 3600))
	for in, want := range map[string]string{
		"%START_TIME%":                         "2026-03-07T03:05:06.070Z",
		"%START_TIME(%s.%3f)%":                 "1772852706.070",
		"%START_TIME(%Y%m%d %H:%M:%E9S%z 2)%":  "20260307 03:05:06.070809010+0000 2",
		"%START_TIME(%d/%b/%Y:%T Jan %% %6f)%": "07/Mar/2026:03:05:06 Jan % 070809",
	} {
		ops, err := Parse(in)
		if err != nil {
			t.Fatal(in, err)
		}
		if got := string(AppendTime(nil, ops[0].Time, at)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "%%", "%", `[%START_TIME(%Y %s %E3S)%] "%REQ(:METHOD)% %REQ(a?b):9%"`, "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%", "%A(%B(C)%)%", "%:1%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ops, err := Parse(s)
		if err != nil {
			return
		}
		// What was read is the whole, piece by piece.
		var again strings.Builder
		for _, o := range ops {
			if o.Command == Text {
				again.WriteString(strings.ReplaceAll(o.Text, "%", "%%"))
			} else {
				again.WriteString(o.Text)
			}
			AppendTime(nil, o.Time, time.Unix(1, 2))
		}
		if again.String() != s {
			t.Errorf("%q became %q", s, again.String())
		}
	})
}
