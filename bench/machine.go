package bench

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Machine is where and with what the trials ran. Unknown values are empty.
type Machine struct {
	OS       string        `json:"os"`
	Arch     string        `json:"arch"`
	Kernel   string        `json:"kernel,omitempty"`
	CPU      string        `json:"cpu,omitempty"`
	CPUs     int           `json:"cpus"` // that Go uses
	Memory   int64         `json:"memory,omitempty"`
	Fsync    time.Duration `json:"fsync_ns"` // median of writing and syncing a page in Dir
	Go       string        `json:"go"`
	SQLite   string        `json:"sqlite"`
	Driver   string        `json:"driver,omitempty"`   // version of modernc.org/sqlite
	Revision string        `json:"revision,omitempty"` // of chunkfill, as built
}

func describe(ctx context.Context, dir string) Machine {
	m := Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), CPUs: runtime.GOMAXPROCS(0),
		Kernel: firstLine("/proc/sys/kernel/osrelease"),
		CPU:    field("/proc/cpuinfo", "model name"),
		Memory: kilobytes(field("/proc/meminfo", "MemTotal")),
		Fsync:  fsyncTime(dir),
	}
	m.Driver, m.Revision = builtWith()
	if db, err := sql.Open("sqlite", ":memory:"); err == nil {
		defer db.Close()
		_ = db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&m.SQLite) // stays empty
	}
	return m
}

func builtWith() (driver, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	for _, dep := range info.Deps {
		if dep.Path == "modernc.org/sqlite" {
			driver = dep.Version
		}
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			revision += " and changes"
		}
	}
	return driver, revision
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// field finds "name : value" in a file of such lines.
func field(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64) // 0 where it is unknown
	return n << 10
}

// fsyncTime returns the median of a few small synced writes: a large part of a commit.
func fsyncTime(dir string) time.Duration {
	f, err := os.CreateTemp(dir, "chunkfill-fsync-")
	if err != nil {
		return 0
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4096)
	var took []time.Duration
	for range 21 {
		began := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil || f.Sync() != nil {
			return 0
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
