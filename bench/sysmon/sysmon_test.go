package sysmon

import (
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"
)

// The log is written, then emptied: the peak must have been seen in between.
// Planted: the last size reported instead of the highest.
func TestSeesThePeakOfTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		exec(t, db, `PRAGMA journal_mode = WAL; CREATE TABLE t(x)`)
		m := Start(Config{Path: path, Every: time.Millisecond})
		exec(t, db, `INSERT INTO t VALUES (zeroblob(300000))`)
		time.Sleep(10 * time.Millisecond) // of the bubble
		exec(t, db, `PRAGMA wal_checkpoint(TRUNCATE)`)
		time.Sleep(100 * time.Millisecond)
		report := m.Stop()
		if report.WAL < 300_000 {
			t.Errorf("peak of the log %d bytes, want 300000 and more", report.WAL)
		}
		if over := report.WALOver.Max; len(over) < 2 || over[0] != float64(report.WAL) || over[len(over)-1] != 0 {
			t.Errorf("log over time %v, want its peak first and 0 at the end", over)
		}
		if again := m.Stop(); again.WAL != report.WAL {
			t.Errorf("stopped again: %d, first %d", again.WAL, report.WAL)
		}
	})
}

func exec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Planted: the first field of statm, the virtual size.
func TestResidentMemoryGrowsWithWhatIsTouched(t *testing.T) {
	debug.FreeOSMemory() // what an earlier run has touched
	m := Start(Config{Path: filepath.Join(t.TempDir(), "x.db")})
	before := m.Stop()
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	m = Start(Config{Path: filepath.Join(t.TempDir(), "x.db")})
	after := m.Stop()
	runtime.KeepAlive(block)
	if before.RSS <= 0 || before.RSS > 256<<20 || after.RSS < before.RSS+32<<20 {
		t.Errorf("resident %d before, %d after touching 64 MB (%s)", before.RSS, after.RSS, after.RSSSource)
	}
	if runtime.GOOS == "linux" && after.RSSSource != "statm" {
		t.Errorf("source %q on Linux", after.RSSSource)
	}
}

func TestParseStatm(t *testing.T) {
	if pages, ok := parseStatm([]byte("318127 7006 3712 2 0 12 0\n")); !ok || pages != 7006 {
		t.Errorf("got %d, %v", pages, ok)
	}
	for _, bad := range []string{"", "1", "1 x"} {
		if _, ok := parseStatm([]byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestFreeBytes(t *testing.T) {
	free := FreeBytes(filepath.Join(t.TempDir(), "not there yet"))
	if runtime.GOOS == "linux" && free <= 0 {
		t.Errorf("%d bytes free", free)
	}
	if runtime.GOOS == "linux" {
		if free := FreeBytes(string(os.PathSeparator) + "no such dir/x"); free != -1 {
			t.Errorf("%d bytes free where there is nothing", free)
		}
	}
}
