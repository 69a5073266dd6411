package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

var update = flag.Bool("update", false, "write what scripts and commands print into testdata")

// In scripts and in tests that start processes, "chunkfill" is this program, built
// as its users build it: under the race detector SQLite is some thirty times slower.
// What the race detector sees are the tests that call execute.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chunkfill-test-")
	if err == nil {
		var out []byte
		out, err = exec.Command("go", "build", "-o", filepath.Join(dir, "chunkfill"), ".").CombinedOutput()
		os.Stderr.Write(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the command:", err)
		os.Exit(1)
	}
	os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// TestScripts runs the scripts of all commands but preflight, which has its own, as processes of their
// own on SQLite files. Beside the commands of testscript they have
//
//	exits STATUS chunkfill ARG…   runs it, and wants that exit status
//	sql FILE STATEMENT…           prints rows; "<NAME" is a file with statements
//	until FILE QUERY VALUE        waits until a query has that answer
//	tear FROM TO SIZE             copies the first bytes of a file
//	snapshot                      notes every file there is
//	unchanged [NEW…]              wants the same files with the same bytes, and those new ones
//
// and the condition [alllocks], where the system tells the locks of all processes.
//
// Planted and caught: no --where, no --todo, no --max-rate, no --quarantine-limit, a
// --retry that only runs, a file name that is not escaped, a database turned into WAL
// mode on opening, a lock file for a job that is none, status 1 where another process
// has the job, tuned values that are not used, a pause that is not waited out, status
// on a connection that writes, $CHUNKFILL_DB and $CHUNKFILL_ACTOR not looked at, one more name
// of a job completed than the command takes, a line drawn over on a dumb terminal,
// a tuned value taken back, or kept under --reset, that was not given.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files:         scripts,
		UpdateScripts: *update,
		Condition: func(condition string) (bool, error) {
			if condition != "alllocks" {
				return false, fmt.Errorf("no condition %s", condition)
			}
			_, seesAll, err := system.Locks(os.Args[0])
			return seesAll && err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exitsScript, "sql": sqlScript, "until": untilScript,
			"tear": tearScript, "snapshot": snapshotScript, "unchanged": unchangedScript,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[snapshotKey{}] = new(map[string]string)
			return nil
		},
	})
}

func exitsScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG…")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

func sqlScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql FILE STATEMENT…")
	}
	for _, statement := range args[1:] {
		if name, ok := strings.CutPrefix(statement, "<"); ok {
			statement = ts.ReadFile(name)
		}
		rows, err := query(ts.MkAbs(args[0]), "rwc", statement)
		ts.Check(err)
		fmt.Fprint(ts.Stdout(), rows)
	}
}

// untilScript gives a process that runs beside the script time to get somewhere.
func untilScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: until FILE QUERY VALUE")
	}
	if got, ok := poll(ts.MkAbs(args[0]), args[1], args[2]); !ok {
		ts.Fatalf("%s: %q, want %q", args[1], got, args[2])
	}
}

// poll asks until the answer is want. A query that cannot be asked yet, of a table
// that is not there, has none.
func poll(path, question, want string) (got string, ok bool) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		rows, err := query(path, "ro", question)
		got = strings.TrimSuffix(rows, "\n")
		if err != nil {
			got = err.Error()
		} else if got == want {
			return got, true
		}
		if time.Now().After(deadline) {
			return got, false
		}
		<-time.After(5 * time.Millisecond)
	}
}

// query runs statements and returns the rows of the last one, a line each.
func query(path, mode, statements string) (string, error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path,
		RawQuery: "mode=" + mode + "&_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		return "", err
	}
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), statements)
	if err != nil {
		return "", fmt.Errorf("%s: %w", statements, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(sql.NullString)
		}
		if err := rows.Scan(row...); err != nil {
			return "", err
		}
		for i, value := range row {
			if i > 0 {
				out.WriteByte('|')
			}
			out.WriteString(value.(*sql.NullString).String)
		}
		out.WriteByte('\n')
	}
	return out.String(), rows.Err()
}

func tearScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: tear FROM TO SIZE")
	}
	size, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(args[0])[:size]), 0o600))
}

type snapshotKey struct{}

func snapshotScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: snapshot")
	}
	*ts.Value(snapshotKey{}).(*map[string]string) = digests(ts)
}

// unchangedScript compares whole files, so that a lock file or a log that is left
// behind is found as well as a byte that has changed.
func unchangedScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: unchanged [NEW…]")
	}
	before, now := *ts.Value(snapshotKey{}).(*map[string]string), digests(ts)
	if before == nil {
		ts.Fatalf("unchanged since when? There is no snapshot before it")
	}
	for _, name := range args {
		if now[name] == "" {
			ts.Fatalf("there is no %s", name)
		}
		delete(now, name)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now[name] != before[name] {
			ts.Fatalf("%s is gone or has changed", name)
		}
		delete(now, name)
	}
	if len(now) > 0 {
		ts.Fatalf("left behind: %v", slices.Sorted(maps.Keys(now)))
	}
}

// digests are those of all files of the script's folder, without those in folders.
func digests(ts *testscript.TestScript) map[string]string {
	all := map[string]string{}
	entries, err := os.ReadDir(ts.MkAbs("."))
	ts.Check(err)
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			all[entry.Name()] = fmt.Sprintf("%x", sha256.Sum256([]byte(ts.ReadFile(entry.Name()))))
		}
	}
	return all
}
