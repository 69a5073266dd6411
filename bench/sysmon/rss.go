package sysmon

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
)

// residentBytes is the memory this process has in RAM, and where that was read.
// The page cache of the driver lies outside the Go heap, so that what the Go
// runtime says, used where there is no /proc, is too little.
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
