package main

import (
	"io"
	"strings"
	"testing"
)

func TestBadFlagsAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--source file":       "--dir",
		"--source database":   "source \"database\"",
		"--log-level loud":    "--log-level",
		"--proxy-resources {": "--proxy-resources",
		"--no-such-flag":      "unknown flag",
		"extra":               "unknown command",
		"--source file --dir d --state-dir s --inbound MAYBE":     "inbound",
		"--source file --dir d --state-dir s --webhook-listen :1": "--webhook-listen",
		"--source kube --kubeconfig /does/not/exist":              "reach the cluster",
	} {
		c := command(func(string) string { return "" }, io.Discard)
		c.SetArgs(strings.Fields(args))
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
