package cli

import (
	"context"
	"os"
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

// TestScripts runs what a person sees: one file of testdata is one story.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
	})
}
