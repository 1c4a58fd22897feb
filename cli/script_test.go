package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weftmesh/weft/cli/console"
)

func TestMain(m *testing.M) {
	commands := map[string]func(){}
	for _, name := range append([]string{"weft"}, console.Aliases()...) {
		commands[name] = func() {
			args := append([]string{name}, os.Args[1:]...)
			os.Exit(Main(context.Background(), args, os.Stdin, os.Stdout, os.Stderr, os.Getenv))
		}
	}
	testscript.Main(m, commands)
}

// TestUsageCodes: what cannot be read as a command line has a code of its own
// for istioctl, whose users' scripts tell it from failures.
func TestUsageCodes(t *testing.T) {
	for line, want := range map[string]int{
		"istioctl no-such-command":           64,
		"istioctl --no-such-flag":            64,
		"istioctl version --no-such-flag":    64,
		"istioctl version extra":             64,
		"istioctl x no-such-command":         64,
		"istioctl experimental precheck foo": 64,
		"istioctl version --remote=maybe":    64,
		"istioctl analyze":                   1,
		"istioctl x describe pod p":          1,
		"weft no-such-command":               1,
		"weft compat no-such-command":        1,
		"linkerd check --no-such-flag":       1,
		"istioctl x":                         0,
		"weft compat":                        0,
		"istioctl":                           0,
	} {
		var errOut bytes.Buffer
		got := Main(t.Context(), strings.Fields(line), strings.NewReader(""), io.Discard, &errOut, func(string) string { return "" })
		if got != want {
			t.Errorf("%s: code %d, want %d: %s", line, got, want, &errOut)
		}
		if want != 0 && errOut.Len() == 0 {
			t.Errorf("%s: no word about it", line)
		}
	}
}

// TestScripts runs what a person sees: one file of testdata is one story.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
	})
}
