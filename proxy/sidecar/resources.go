package sidecar

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// cgroupLimits are the files that hold the memory limit of the process's
// control group, in bytes: version 2, then version 1.
var cgroupLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// limitResources sets up the runtime for a small process that shares its
// machine: as many cores as asked for, garbage collected early, and harder near
// the memory limit. What the user has set by GOGC or GOMEMLIMIT stays.
func limitResources(cores int) {
	runtime.GOMAXPROCS(cores)
	if old := debug.SetGCPercent(50); old != 100 {
		debug.SetGCPercent(old)
	}
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	for _, f := range cgroupLimits {
		if n, ok := memoryLimit(f); ok {
			debug.SetMemoryLimit(n / 10 * 9)
			return
		}
	}
}

func memoryLimit(file string) (int64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	// Version 1 says "no limit" by a number near the largest.
	if err != nil || n <= 0 || n > 1<<50 {
		return 0, false
	}
	return n, true
}
