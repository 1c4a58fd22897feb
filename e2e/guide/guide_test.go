package main

import (
	"strings"
	"testing"
)

func TestTheGuideHas46Steps(t *testing.T) {
	steps, err := Extract(guide)
	if err != nil {
		t.Fatal(err)
	}
	count, family, replaced, again := map[Kind]int{}, map[Family]int{}, 0, 0
	for _, s := range steps {
		replaced += len(s.Replaced)
		if s.Again {
			again++
			continue
		}
		count[s.Kind]++
		family[s.Family]++
	}
	if count[Command] != 34 || count[YAML] != 12 {
		t.Errorf("%d commands and %d YAML blocks, want 34 and 12", count[Command], count[YAML])
	}
	if replaced != 11 || again != 1 {
		t.Errorf("%d lines replaced and %d repeated, want 11 and 1", replaced, again)
	}
	if family[Linkerd]+family[Istio] != 46 || family[Linkerd] == 0 || family[Istio] == 0 {
		t.Errorf("by family: %v", family)
	}
}

// Every line of the guide's blocks is accounted for: as a step, as replaced,
// or as a comment.
func TestNoLineIsLost(t *testing.T) {
	steps, err := Extract(guide)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, s := range steps {
		all.WriteString(s.Text + "\n" + strings.Join(s.Replaced, "\n") + "\n")
	}
	fence := ""
	for _, line := range strings.Split(guide, "\n") {
		if f, ok := strings.CutPrefix(line, "```"); ok {
			if fence != "" {
				f = ""
			}
			fence = f
			continue
		}
		if line = strings.TrimSpace(line); (fence == "bash" && line != "" && line[0] != '#' || fence == "yaml") && !strings.Contains(all.String(), line) {
			t.Errorf("lost: %s", line)
		}
	}
}

func TestEveryStepHasACheck(t *testing.T) {
	steps, err := Extract(guide)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, s := range steps {
		if checks[s.Title()] == nil {
			t.Errorf("step %d %q has no check", s.N, s.Title())
		}
		used[s.Title()] = true
	}
	for title := range checks {
		if !used[title] {
			t.Errorf("the check %q belongs to no step", title)
		}
	}
}

func TestScoreNeverGoesDown(t *testing.T) {
	was := "PASS 1. a\nFAIL 2. b: no\nguide: 1 of 2\n"
	for now, bad := range map[string]bool{"guide: 1 of 2": false, "guide: 2 of 2": false, "guide: 0 of 2": true} {
		if err := compare(was, now); (err != nil) != bad {
			t.Errorf("%s after 1 of 2: %v", now, err)
		}
	}
	if err := compare("", "guide: 0 of 2"); err != nil {
		t.Errorf("nothing was committed: %v", err)
	}
}

func TestAGuideThatBelongsToNobodyIsRefused(t *testing.T) {
	for _, text := range []string{"# x\n```yaml\na: 1\n```\n", "# x\n```bash\nkubectl get pods\n```\n", "# Linkerd\n```bash\nbrew install x\n```\n"} {
		if steps, err := Extract(text); err == nil {
			t.Errorf("accepted: %q: %v", text, steps)
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(guide)
	f.Add("# Linkerd\n```bash\nlinkerd check\n```\n```yaml\nkind: X\n```\n")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := Extract(text)
		if err != nil {
			return
		}
		n := 0
		for _, s := range steps {
			if !s.Again {
				n++
			}
			if s.Family == "" || s.N < 1 || s.N > len(steps) {
				t.Errorf("step %+v", s)
			}
		}
		if len(steps) > 0 && n == 0 {
			t.Error("only repetitions")
		}
	})
}

func TestNumbers(t *testing.T) {
	got, err := numbers("3,5-7")
	if err != nil || len(got) != 4 || !got[3] || !got[5] || !got[6] || !got[7] {
		t.Errorf("3,5-7 became %v: %v", got, err)
	}
	if got, err := numbers(""); got != nil || err != nil {
		t.Errorf("nothing became %v: %v", got, err)
	}
	for _, bad := range []string{"a", "3-", "-3", "7-5", "1,,2"} {
		if got, err := numbers(bad); err == nil {
			t.Errorf("%q became %v", bad, got)
		}
	}
}
