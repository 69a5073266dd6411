package torture_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
	"github.com/chunkfill/chunkfill/jobs"
)

// The version that wrote tables of version 1, as in testdata/v1/make.sh.
const earlierCommit = "aede3a7"

// buildOlder builds testdata/v1/older, once; set by TestMain.
var buildOlder func() (string, error)

// buildEarlier builds it with the sources of that version, from the history of this clone.
// Where that does not reach so far back the program is "".
func buildEarlier(dir string) (program string, err error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil || exec.Command("git", "cat-file", "-e", earlierCommit+"^{commit}").Run() != nil {
		return "", nil //nolint:nilerr // no history
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	archive, err := exec.Command("git", "-C", strings.TrimSpace(string(root)), "archive", earlierCommit).Output()
	if err != nil {
		return "", fmt.Errorf("read the sources of %s: %w", earlierCommit, err)
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(archive)
	source, readErr := os.ReadFile(filepath.Join(earlier, "older", "main.go"))
	into := filepath.Join(dir, "internal", "torture", "older")
	if err := errors.Join(readErr, unpack.Run(), os.Mkdir(into, 0o755), os.WriteFile(filepath.Join(into, "main.go"), source, 0o644)); err != nil {
		return "", err
	}

	build := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), "./internal/torture/older")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the version of %s: %w: %s", earlierCommit, err, out)
	}
	return filepath.Join(dir, "program"), nil
}

// older starts that version on a database, with a job of that name.
func older(t *testing.T, path, name string) *process {
	t.Helper()
	if testing.Short() {
		t.Skip("builds another version")
	}
	program, err := buildOlder()
	if err != nil {
		t.Fatal(err)
	}
	if program == "" {
		t.Skipf("the history of this clone does not have %s", earlierCommit)
	}
	return begin(t, exec.Command(program, path, name))
}

// olderJob is that job, as the present version has it.
func olderJob(name string) jobs.Job {
	return jobs.Update{Name: name, Table: "items", Set: []jobs.Assign{plusOne}}
}

// presentVar makes the test binary a process of the present version that runs such a job on
// a database.
const presentVar = "CHUNKFILL_TORTURE_PRESENT"

func present(t *testing.T, path, name string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], name)
	cmd.Env = append(os.Environ(), presentVar+"="+path)
	return begin(t, cmd)
}

// runPresent is that process: it says when it waits.
func runPresent(path, name string) error {
	go func() { // it does not outlive the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	db, err := torture.Open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	waiting := newUpTo(waits)
	eng, err := engine.New(db, engine.Config{Logger: slog.New(waiting), MinFree: -1})
	if err != nil {
		return err
	}
	defer eng.Close()
	if err := eng.Start(context.Background(), olderJob(name)); err != nil {
		return err
	}
	if waiting.before(eng.Wait) {
		fmt.Println("waiting")
	}
	eng.Wait()
	s, err := engine.ReadStatus(context.Background(), db, name)
	if err == nil {
		err = errors.New(string(s.Phase))
	}
	return err
}

// waits is what a run says of an older one.
const waits = "an older version runs a job on this database; this one begins when that has ended"

// items makes a database with a table for it.
func items(t *testing.T, rows int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.db")
	db := openFile(t, path)
	defer db.Close()
	mustExec(t, db, "CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0)",
		fmt.Sprintf("INSERT INTO items (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c", rows))
	return path
}

// TestOlderOwnerIsWaitedFor: while a process of the earlier version runs a job, the present
// one begins none, says for whom it waits, and leaves the tables as that process needs them.
// When it has ended, or died, both jobs come to their ends, with each row done once.
//
// Planted and caught: a run that does not wait; one that looks at the kernel's locks on the
// database alone.
func TestOlderOwnerIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		what, name string
		end        func(*testing.T, *process)
		once       string // rows that the two jobs did, each once
	}{
		{"another job, and it ends", "another", ends, "200 2 2"},
		{"another job, and it dies", "another", dies, ""},
		{"the same job, and it ends", "job", ends, "200 1 1"},
		{"the same job, and it dies", "job", dies, "200 1 1"},
	} {
		t.Run(c.what, func(t *testing.T) {
			path := items(t, 200)
			then := older(t, path, "job")
			then.says("standing")

			db := openFile(t, path)
			waiting := newUpTo(waits)
			eng := newEngine(t, db, engine.Config{Logger: slog.New(waiting), MinFree: -1})
			if err := eng.Start(t.Context(), olderJob(c.name)); err != nil {
				t.Fatal(err)
			}
			if !waiting.before(eng.Wait) {
				t.Fatal("it did not wait")
			}
			if version, err := checkpoint.Version(t.Context(), db); version != 1 || err != nil {
				t.Errorf("meanwhile the tables have version %d, %v", version, err)
			}

			c.end(t, then)
			eng.Wait()
			if s, err := engine.ReadStatus(t.Context(), db, c.name); err != nil || s.Phase != checkpoint.Done {
				t.Errorf("the job is %s, %v", s.Phase, err)
			}
			if c.once != "" {
				wantN(t, db, c.once)
				return
			}
			if _, err := eng.Run(t.Context(), olderJob("job")); err != nil { // from where that process died
				t.Error(err)
			}
			wantN(t, db, "200 2 2")
		})
	}
}

func ends(t *testing.T, p *process) {
	p.walk()
	p.says("done")
}

func dies(t *testing.T, p *process) {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// wantN checks how often the rows of a database of items were done.
func wantN(t *testing.T, db *sql.DB, want string) {
	t.Helper()
	if got := value(t, db, "SELECT count(*) || ' ' || min(n) || ' ' || max(n) FROM items"); got != want {
		t.Errorf("rows, and the least and most times that one was done: %s, want %s", got, want)
	}
}

// TestWaitForOlderEnds: whoever waits for an older version is stopped by its context, with
// nothing changed.
func TestWaitForOlderEnds(t *testing.T) {
	path := items(t, 200)
	then := older(t, path, "job")
	then.says("standing")
	db := openFile(t, path)
	waiting := newUpTo(waits)
	eng := newEngine(t, db, engine.Config{Logger: slog.New(waiting), MinFree: -1})
	if err := eng.Start(t.Context(), olderJob("another")); err != nil {
		t.Fatal(err)
	}
	if !waiting.before(eng.Wait) {
		t.Fatal("it did not wait")
	}
	if err := eng.Close(); err != nil {
		t.Error(err)
	}
	if s, err := engine.ReadStatus(t.Context(), db, "another"); err != nil || s.Ledger != pendingAsync {
		t.Errorf("the ledger says %q, %v", s.Ledger, err)
	}
	ends(t, then)
	wantN(t, db, "200 1 1")
}

// TestTwoWaitForAnOlder: two processes of the present version that wait for an older one, each
// with the lock of a job that another older one has left, do not go on to wait for each other.
//
// Planted and caught: OlderOwner that does not look at who has announced itself.
func TestTwoWaitForAnOlder(t *testing.T) {
	path := items(t, 200)
	for _, name := range []string{"one", "two"} {
		then := older(t, path, name)
		then.says("standing")
		dies(t, then)
	}
	then := older(t, path, "job")
	then.says("standing")

	one, two := present(t, path, "one"), present(t, path, "two")
	one.says("waiting")
	two.says("waiting")
	ends(t, then)
	one.says("done")
	two.says("done")
	wantN(t, openFile(t, path), "200 3 3")
}

// TestOlderVersionRefuses: an older version refuses tables that were upgraded, and touches
// nothing.
func TestOlderVersionRefuses(t *testing.T) {
	path := unpack(t, "walking")
	db := openFile(t, path)
	eng := newEngine(t, db, engine.Config{MinFree: -1})
	if _, err := eng.Run(t.Context(), oldInc); err != nil {
		t.Fatal(err)
	}
	said, err := older(t, path, "another").end()
	const refusal = "version 3, this one knows 1; use the newer chunkfill"
	if err != nil || !strings.Contains(said, refusal) {
		t.Errorf("the earlier version says %q, %v; want %q", said, err, refusal)
	}
	wantN(t, db, "90 1 1")
}
