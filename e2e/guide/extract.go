package main

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed guide.md
var guide string

// Kind says what a step is.
type Kind string

// The kinds of steps.
const (
	Command Kind = "command"
	YAML    Kind = "yaml"
)

// Family is one of the guide's two options.
type Family string

// The families.
const (
	Linkerd Family = "linkerd"
	Istio   Family = "istio"
)

// Step is one thing that the guide has its reader do.
//
// A command is a line of a shell block that runs linkerd, istioctl or kubectl.
// Lines that get or place the tools (brew, curl, export, cd) and lines that
// apply what they fetch from the internet are no steps: nothing can be fetched
// here, so each is replaced, and the replacement stands beside the step that
// depends on it. A line that the guide repeats word for word is one step,
// which has to hold at each place.
type Step struct {
	N       int // from 1, in the guide's order
	Kind    Kind
	Text    string // the command, or the YAML
	Section string // the heading above it
	Family  Family
	// Replaced lists lines of the guide that are not run, each with what is
	// done instead.
	Replaced []string
	// Again is set where the guide repeats an earlier step.
	Again bool
}

// Title is the step in one line.
func (s Step) Title() string {
	if s.Kind == Command {
		return s.Text
	}
	kind, name := field(s.Text, "kind:"), field(s.Text, "name:")
	if kind == "" { // a fragment, whose first line is a comment
		first, _, _ := strings.Cut(s.Text, "\n")
		return "yaml: " + strings.Trim(first, "# ")
	}
	return "yaml: " + kind + " " + name
}

// field returns the value after a key at its first place in a YAML text.
func field(text, key string) string {
	for _, line := range strings.Split(text, "\n") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Extract reads the steps of a guide in their order, repetitions included.
func Extract(text string) ([]Step, error) {
	var steps []Step
	var pending []string // replaced lines that belong to the next step
	numbers := map[string]int{}
	n, section, family, fence := 0, "", Family(""), ""
	var block strings.Builder
	add := func(s Step) {
		key := string(s.Family) + "\n" + s.Text
		s.Section, s.Replaced = section, pending
		if s.N = numbers[key]; s.N == 0 {
			n++
			s.N, numbers[key] = n, n
		} else {
			s.Again = true
		}
		pending = nil
		steps = append(steps, s)
	}
	for i, line := range strings.Split(text, "\n") {
		marker, fenced := strings.CutPrefix(line, "```")
		switch {
		case fence == "" && fenced:
			fence = marker
			block.Reset()
		case fenced:
			if fence == "yaml" {
				if family == "" {
					return nil, fmt.Errorf("line %d: a YAML block under %q belongs to neither option", i+1, section)
				}
				add(Step{Kind: YAML, Text: block.String(), Family: family})
			}
			fence = ""
		case fence == "yaml":
			block.WriteString(line + "\n")
		case fence == "bash":
			command := strings.TrimSpace(line)
			if command == "" || strings.HasPrefix(command, "#") {
				continue
			}
			if instead := replacement(command); instead != "" {
				pending = append(pending, command+" -> "+instead)
				continue
			}
			f := familyOf(command)
			if f == "" {
				f = family
			}
			if f == "" {
				return nil, fmt.Errorf("line %d: %q belongs to neither option", i+1, command)
			}
			add(Step{Kind: Command, Text: command, Family: f})
		case fence == "" && (strings.HasPrefix(line, "#") || strings.HasPrefix(line, "**")):
			title := strings.Trim(line, "#* :")
			if strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "### ") {
				section = title
			}
			if f := familyOf(title); f != "" {
				family = f
			}
		}
	}
	if len(pending) > 0 {
		return nil, fmt.Errorf("replaced lines belong to no step: %q", pending)
	}
	return steps, nil
}

// familyOf says which option a heading or a command belongs to; empty means
// that it does not say.
func familyOf(text string) Family {
	t := strings.ToLower(text)
	l, i := strings.Contains(t, "linkerd"), strings.Contains(t, "istio")
	switch {
	case l && !i:
		return Linkerd
	case i && !l:
		return Istio
	}
	return ""
}

// replacement says what is done instead of a line that cannot be run here.
func replacement(command string) string {
	switch {
	case strings.HasPrefix(command, "brew "), strings.HasPrefix(command, "curl "):
		return "`weft compat link` puts this build's binary under the tool's name"
	case strings.HasPrefix(command, "export PATH="):
		return "the folder of these links is first on PATH"
	case strings.HasPrefix(command, "cd "):
		return "nothing was unpacked, so there is no folder to enter"
	case strings.Contains(command, "https://"):
		return "nothing is fetched; Weft brings what the add-on is for, and the next step shows it"
	}
	return ""
}
