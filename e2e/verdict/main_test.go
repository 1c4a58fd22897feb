package main

import (
	"strings"
	"testing"
)

const stream = `{"Action":"start","Package":"github.com/weftmesh/weft/a"}
{"Action":"run","Package":"github.com/weftmesh/weft/a","Test":"TestGood"}
{"Action":"output","Package":"github.com/weftmesh/weft/a","Test":"TestGood","Output":"    a_test.go:1: quiet\n"}
{"Action":"pass","Package":"github.com/weftmesh/weft/a","Test":"TestGood"}
{"Action":"output","Package":"github.com/weftmesh/weft/a","Test":"TestBad","Output":"    a_test.go:2: loud\n"}
{"Action":"fail","Package":"github.com/weftmesh/weft/a","Test":"TestBad"}
{"Action":"output","Package":"github.com/weftmesh/weft/a","Test":"TestOdd/part","Output":"=== RUN   TestOdd/part\n"}
{"Action":"output","Package":"github.com/weftmesh/weft/a","Test":"TestOdd/part","Output":"    a_test.go:3: needs root\n"}
{"Action":"output","Package":"github.com/weftmesh/weft/a","Test":"TestOdd/part","Output":"--- SKIP: TestOdd/part (0.00s)\n"}
{"Action":"skip","Package":"github.com/weftmesh/weft/a","Test":"TestOdd/part"}
{"Action":"output","Package":"github.com/weftmesh/weft/a","Output":"FAIL\tgithub.com/weftmesh/weft/a\t0.1s\n"}
{"Action":"output","Package":"github.com/weftmesh/weft/b","Output":"?   \tgithub.com/weftmesh/weft/b\t[no test files]\n"}
{"Action":"skip","Package":"github.com/weftmesh/weft/b"}
no JSON at all
`

func TestOnlyFailuresAreShownAndSkipsAreKept(t *testing.T) {
	var out strings.Builder
	skips, err := read(strings.NewReader(stream), &out)
	if err != nil || len(skips) != 1 || skips[0] != (skip{"a", "TestOdd/part", "a_test.go:3: needs root"}) || skips[0].key() != "a TestOdd" {
		t.Errorf("%v %v", skips, err)
	}
	for text, want := range map[string]bool{"loud": true, "FAIL": true, "no JSON at all": true, "no test files": true, "quiet": false, "needs root": false} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%q is shown: %v\n%s", text, !want, out.String())
		}
	}
}

func TestListWantsReasons(t *testing.T) {
	got, err := list("# why\n\na TestOdd it is long\n")
	if err != nil || !got["a TestOdd"] || len(got) != 1 {
		t.Error(got, err)
	}
	if _, err := list("a TestOdd\n"); err == nil {
		t.Error("a skip without a reason is accepted")
	}
}
