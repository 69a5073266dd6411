package sysmon

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
)

// residentBytes returns the resident memory of this process, and where that was read. The
// driver's page cache lies outside the Go heap, so the number of the Go runtime, used where
// there is no /proc, is too low.
func residentBytes() (bytes int64, source string) {
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		if pages, ok := parseStatm(data); ok {
			return pages * int64(os.Getpagesize()), "statm"
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys), "go runtime"
}

// parseStatm returns the second field: resident pages.
func parseStatm(data []byte) (pages int64, ok bool) {
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages, err == nil
}
