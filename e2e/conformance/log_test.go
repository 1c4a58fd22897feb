package main

import (
	"errors"
	"strings"
	"testing"
)

const someLog = `=== RUN   TestConformance
    --- PASS: TestConformance/MeshBasic (0.20s)
    --- SKIP: TestConformance/GatewayInfrastructure (0.00s)
    --- FAIL: TestConformance/MeshPorts (30.10s)
        --- FAIL: TestConformance/MeshPorts/0_request (30.00s)
        --- PASS: TestConformance/MeshPorts/1_request (0.10s)
--- FAIL: TestConformance (31.00s)
`

func TestOutcomesAreJudged(t *testing.T) {
	got, err := outcomes([]byte(someLog))
	if err != nil || len(tests(got)) != 3 {
		t.Fatalf("%+v %v", got, err)
	}
	if s := table(got); !strings.Contains(s, "mesh tests: 1 passed, 1 failed, 0 skipped") || !strings.Contains(s, "FAIL 0_request") || strings.Contains(s, "Gateway") {
		t.Error(s)
	}
	if err := judge(got, ""); err == nil || !strings.Contains(err.Error(), "MeshPorts: FAIL") {
		t.Errorf("judged as %v", err)
	}
	if err := judge(got, "MeshBasic"); err != nil {
		t.Error(err)
	}
	// A test that is skipped has not passed, and silence is no success.
	skipped, err := outcomes([]byte(strings.Replace(someLog, "PASS: TestConformance/MeshBasic", "SKIP: TestConformance/MeshBasic", 1)))
	if err != nil || judge(skipped, "MeshBasic") == nil {
		t.Errorf("a skipped test passes: %v", err)
	}
	if _, err := outcomes([]byte("panic")); !errors.Is(err, errNoResult) {
		t.Errorf("got %v", err)
	}
}
