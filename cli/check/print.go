package check

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
)

// printers write outcomes and say whether the whole is a success.
var printers = map[string]func(io.Writer, iter.Seq[Outcome]) bool{
	"table": func(w io.Writer, all iter.Seq[Outcome]) bool { return printTable(w, all, false) },
	"short": func(w io.Writer, all iter.Seq[Outcome]) bool { return printTable(w, all, true) },
	"json":  printJSON,
}

var marks = map[Result]string{Success: "√", Warning: "‼", Error: "×"}

// printTable writes each outcome as it comes; the short form leaves out all
// that is well.
func printTable(w io.Writer, all iter.Seq[Outcome], short bool) bool {
	success, category := true, ""
	for o := range all {
		if o.Result == Error {
			success = false
		}
		if short && o.Result == Success {
			continue
		}
		if o.Category != category {
			if category != "" {
				say(w, "\n")
			}
			category = o.Category
			say(w, "%s\n%s\n", category, strings.Repeat("-", len(category)))
		}
		say(w, "%s %s\n", marks[o.Result], o.Description)
		if o.Err != nil {
			say(w, "    %s\n", strings.ReplaceAll(o.Err.Error(), "\n", "\n    "))
		}
		if o.Hint != "" {
			say(w, "    see %s for hints\n", o.Hint)
		}
	}
	if category != "" {
		say(w, "\n")
	}
	say(w, "Status check results are %s\n", map[bool]string{true: "√", false: "×"}[success])
	return success
}

// say writes to a terminal or a pipe; what cannot be written has no reader.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

type jsonCheck struct {
	Description string `json:"description"`
	Hint        string `json:"hint,omitempty"`
	Error       string `json:"error,omitempty"`
	Result      Result `json:"result"`
}

type jsonCategory struct {
	Name   string      `json:"categoryName"`
	Checks []jsonCheck `json:"checks"`
}

func printJSON(w io.Writer, all iter.Seq[Outcome]) bool {
	out := struct {
		Success    bool           `json:"success"`
		Categories []jsonCategory `json:"categories"`
	}{Success: true, Categories: []jsonCategory{}}
	for o := range all {
		if o.Result == Error {
			out.Success = false
		}
		if n := len(out.Categories); n == 0 || out.Categories[n-1].Name != o.Category {
			out.Categories = append(out.Categories, jsonCategory{Name: o.Category})
		}
		c := jsonCheck{Description: o.Description, Hint: o.Hint, Result: o.Result}
		if o.Err != nil {
			c.Error = o.Err.Error()
		}
		last := &out.Categories[len(out.Categories)-1]
		last.Checks = append(last.Checks, c)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out) == nil && out.Success
}
