// Package console is what a command has of the world: its streams, its
// environment, and the name it was called by. Commands take it as an argument,
// so that tests can give them another.
package console

import (
	"errors"
	"fmt"
	"io"
)

// Console is one invocation's.
type Console struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv reads an environment variable; "" when it is not set.
	Getenv func(string) string
	// Tool is the face that the binary shows.
	Tool Tool
}

// Tool is a command tree that the binary answers with. Weft's own has every
// capability once; the others are for texts and habits of their users.
type Tool struct {
	// Name is what it is called: weft, linkerd or istioctl.
	Name string
	// Namespace is where the control plane lives by default.
	Namespace string
	// NamespaceFlag and NamespaceShort name the flag that says otherwise.
	NamespaceFlag, NamespaceShort string
	// NamespaceEnv is the variable that says otherwise.
	NamespaceEnv string
}

// Tools by name.
var tools = []Tool{
	{"weft", "weft-system", "control-namespace", "L", "WEFT_NAMESPACE"},
	{"linkerd", "linkerd", "linkerd-namespace", "L", "LINKERD_NAMESPACE"},
	{"istioctl", "istio-system", "istioNamespace", "i", "ISTIOCTL_ISTIONAMESPACE"},
}

// ToolNamed returns the tool of that name, and weft's for any other name.
func ToolNamed(name string) Tool {
	for _, t := range tools {
		if t.Name == name {
			return t
		}
	}
	return tools[0]
}

// Aliases are the names other than weft that the binary answers to.
func Aliases() []string {
	var out []string
	for _, t := range tools[1:] {
		out = append(out, t.Name)
	}
	return out
}

// ExitError ends the process with a code. Without a cause, everything has been
// said already and nothing more is printed.
type ExitError struct {
	Code  int
	Cause error
}

func (e *ExitError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Cause.Error()
}

func (e *ExitError) Unwrap() error { return e.Cause }

// Code returns the exit code for an error of a command, and the message to
// print, if any.
func Code(err error) (code int, message string) {
	var exit *ExitError
	var coded interface{ Code() int }
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &exit) && exit.Cause == nil:
		return exit.Code, ""
	case errors.As(err, &exit):
		return exit.Code, err.Error()
	case errors.As(err, &coded):
		// A wrapped process ended with this code, and has spoken for itself.
		return coded.Code(), ""
	}
	return 1, err.Error()
}

// Failed is an error that has been explained already.
func Failed() error { return &ExitError{Code: 1} }

// Printf writes talk to stderr; data goes to Out.
func (c Console) Printf(format string, args ...any) { _, _ = fmt.Fprintf(c.Err, format, args...) }
