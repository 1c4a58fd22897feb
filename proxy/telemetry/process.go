package telemetry

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// process writes the families that every Prometheus client has of its process,
// read from Linux's /proc. What cannot be read is left out.
func process(o *out) {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) == nil {
		o.family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
		o.value("process_cpu_seconds_total", "", float64(ru.Utime.Nano()+ru.Stime.Nano())/1e9)
	}
	o.family("go_goroutines", "gauge", "Number of goroutines that currently exist.")
	o.value("go_goroutines", "", float64(runtime.NumGoroutine()))
	if rss, ok := residentBytes(); ok {
		o.family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
		o.value("process_resident_memory_bytes", "", rss)
	}
	if d, err := os.ReadDir("/proc/self/fd"); err == nil {
		o.family("process_open_fds", "gauge", "Number of open file descriptors.")
		o.value("process_open_fds", "", float64(len(d)))
	}
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) == nil {
		o.family("process_max_fds", "gauge", "Maximum number of open file descriptors.")
		o.value("process_max_fds", "", float64(lim.Cur))
	}
}

// residentBytes reads the second field of statm, in pages (proc(5)).
func residentBytes() (float64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseFloat(f[1], 64)
	return pages * float64(os.Getpagesize()), err == nil
}
