package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// paced are the flags that set a pace or a limit, and the commands that have them.
var paced = map[string][]string{
	"--target-hold": {"run", "tune"}, "--max-rate": {"run", "tune"}, "--window": {"run"}, "--wal-budget": {"run"}, "--quarantine-limit": {"run"},
}

// words are what a message may call a flag: the flag, or the field of the engine's
// Config that it sets.
var words = map[string]string{"--target-hold": "TargetHold", "--max-rate": "MaxRate", "--window": "Window", "--wal-budget": "WALBudget"}

// FuzzFlags: whatever a duration, a rate, a size or a window says, the command does
// it, or ends with status 2 and a message that names the flag. A job that was tuned
// can still be read. Planted and caught: a rate that is not looked at by tune, as it
// was, with NaN.
func FuzzFlags(f *testing.F) {
	for flag := range paced {
		for _, value := range []string{"", "0", "-1", "1", "1ms", "-1ms", "100h", "9223372036854775808", "NaN", "Inf", "-Inf", "1e309", "1e-320",
			"01:00-05:00", "Mon-Fri 01:00-05:00 Europe/Berlin", "Mon", "25:00-26:00", "--", "1ns"} {
			f.Add(flag, value)
		}
	}
	path := filepath.Join(f.TempDir(), "app.db")
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(wal)")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT)"); err != nil {
		f.Fatal(err)
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	job := []string{"run", "--db", path, "--name", "job", "--table", "t", "--set", "n = 1"}
	command := func(t testing.TB, args ...string) (status int, said string) {
		var out strings.Builder
		status = execute(t.Context(), args, &out, &out)
		return status, out.String()
	}
	if status, said := command(f, job...); status != exit.OK {
		f.Fatal(said)
	}
	if db, err = sql.Open("sqlite", path); err != nil {
		f.Fatal(err)
	}
	if _, err := db.Exec("UPDATE _async_migration_jobs SET phase = 'interrupted'; UPDATE _async_migrations SET status = 'pending_async'"); err != nil {
		f.Fatal(err) // one that is done cannot be tuned
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, flag, value string) {
		for _, name := range paced[flag] {
			args := []string{"tune", "--db", path, "job"}
			if name == "run" {
				args = append(job, "--dry-run")
			}
			status, said := command(t, append(args, flag+"="+value)...)
			named := strings.Contains(said, strings.TrimLeft(flag, "-")) || words[flag] != "" && strings.Contains(said, words[flag])
			if status != exit.OK && (status != exit.Usage || !named) {
				t.Errorf("%s %s=%q: exit status %d: %s", name, flag, value, status, said)
			}
			if status, said := command(t, "status", "--db", path, "job"); status != exit.OK {
				t.Fatalf("after %s %s=%q: %s", name, flag, value, said)
			}
		}
	})
}
