// Package report is what the test application's client says about the load
// it made, shared by the client and by those who read it.
package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report counts the requests of one run.
type Report struct {
	Began    time.Time      `json:"began"`
	Sent     int            `json:"sent"`
	OK       int            `json:"ok"`
	Failed   int            `json:"failed"`
	Codes    map[string]int `json:"codes"`    // HTTP status or gRPC code
	Backends map[string]int `json:"backends"` // host names that answered
	Versions map[string]int `json:"versions"` // VERSION of those that answered
	Errors   map[string]int `json:"errors,omitempty"`
	P50      float64        `json:"p50_ms"`
	P99      float64        `json:"p99_ms"`
	Max      float64        `json:"max_ms"`
	// FailedMax is the longest that a failed one took.
	FailedMax float64  `json:"failed_max_ms"`
	Timeline  []Bucket `json:"timeline,omitempty"`
}

// Bucket counts what was sent in one slice of time, by version.
type Bucket struct {
	At       time.Time      `json:"at"` // its start
	Versions map[string]int `json:"versions,omitempty"`
	Failed   int            `json:"failed,omitempty"`
}

// Share is the part of the answers that came from a version, from 0 to 1.
func (r Report) Share(version string) float64 {
	if r.OK == 0 {
		return 0
	}
	return float64(r.Versions[version]) / float64(r.OK)
}

// Problem is nil when every request was answered well, and there were some.
func (r Report) Problem() error {
	switch {
	case r.Sent == 0:
		return fmt.Errorf("no request was sent")
	case r.Failed > 0 || r.OK != r.Sent:
		return fmt.Errorf("%d of %d requests failed: %s", r.Sent-r.OK, r.Sent, r.Why())
	}
	return nil
}

// Why lists the errors, the most frequent first.
func (r Report) Why() string {
	keys := slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int {
		if d := r.Errors[b] - r.Errors[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d x %s", r.Errors[k], k))
	}
	return strings.Join(parts, "; ")
}
