package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// sample measures what the process holds when no job runs.
func (s *service) sample() (sample torture.Sample, err error) {
	debug.FreeOSMemory() // what is left is held, not garbage
	sample = torture.Sample{At: time.Since(s.began), Round: s.rounds, Jobs: s.jobs, Ingest: s.ingest.Take(),
		LogPerJob: s.logged.Load() / int64(s.jobs-s.jobsBefore)}
	var errs [4]error
	sample.Goroutines, sample.Descriptors, errs[0] = held()
	sample.Files, errs[1] = entries(filepath.Dir(s.path))
	sample.RSS, errs[2] = resident()
	var events int64
	events, errs[3] = value(s.db, "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM _async_migration_events GROUP BY name)")
	sample.Events = int(events)
	sample.WAL, sample.DB = size(s.path+"-wal"), size(s.path)
	return sample, errors.Join(errs[:]...)
}

// held returns the least of a few looks at goroutines and descriptors: live writes
// go on, and may have one more in hand for a moment.
func held() (goroutines, descriptors int, err error) {
	const looks = 5
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	goroutines, descriptors = math.MaxInt, math.MaxInt
	for range looks {
		<-ticker.C
		open, err := entries("/proc/self/fd")
		if err != nil {
			return 0, 0, err
		}
		goroutines, descriptors = min(goroutines, runtime.NumGoroutine()), min(descriptors, open)
	}
	return goroutines, descriptors, nil
}

func entries(dir string) (int, error) {
	all, err := os.ReadDir(dir)
	return len(all), err
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// resident is how much memory the kernel says is in use.
func resident() (bytes int64, err error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(after, &bytes)
	return bytes << 10, err
}
