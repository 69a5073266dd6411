//go:build go1.25

package asyncmig_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chunkfill/chunkfill/asyncmig"
)

func dirNames(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Whatever runs, nothing is made beside the database.
func TestNothingBesideTheDatabase(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, filepath.Join(dir, "app.db"))
	s, g := newStore(db), newGate()
	mustExec(t, db, "CREATE TABLE t (x)")
	before := dirNames(t, dir) // with SQLite's own
	must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
	<-g.began
	if during := dirNames(t, dir); !slices.Equal(during, before) {
		t.Errorf("while it runs there are %q, before %q", during, before)
	}
	g.end <- nil
	s.WaitForAsyncMigrations()
	if after := dirNames(t, dir); !slices.Equal(after, before) {
		t.Errorf("afterwards there are %q, before %q", after, before)
	}
}

// moves are what may become of the file of a name.
var moves = map[string]func(path string) error{
	"deleted": os.Remove,
	"moved":   func(path string) error { return os.Rename(path, path+".old") },
	"replaced": func(path string) error {
		return errors.Join(os.Remove(path+"-wal"), removeIndex(path), emptyDatabase(path+".new"), os.Rename(path+".new", path))
	},
}

func removeIndex(path string) error { return os.Remove(path + "-shm") }

func emptyDatabase(path string) error {
	db, err := openHost(path, 0)
	if err != nil {
		return err
	}
	_, err = db.Exec("CREATE TABLE other (x)")
	return errors.Join(err, db.Close())
}

// Nothing begins on a file that has lost its name: it is not the one that the next
// boot will open. Planted and caught: a lock on whatever has the name now.
func TestMovedBeforeTheRun(t *testing.T) {
	for how, move := range moves {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.db")
			db := openAt(t, path)
			mustExec(t, db, "CREATE TABLE mine (x)")
			s := newStore(db)
			must(t, move(path))
			var c counter
			for call, err := range map[string]error{
				"RunAsyncMigration": s.RunAsyncMigration(t.Context(), "m", c.run),
				"Run":               s.Run(t.Context(), "m", c.run),
				"Exclusive":         s.Exclusive(t.Context(), "m", func(ctx context.Context) error { return c.run(ctx, nil) }),
				"Fail":              s.Fail(t.Context(), "m", "why"),
			} {
				if !errors.Is(err, asyncmig.ErrMoved) {
					t.Errorf("%s: %v, want ErrMoved", call, err)
				}
			}
			c.want(t, 0)
			wantValue(t, db, "1", "SELECT count(*) FROM sqlite_schema")
		})
	}
}

// A migration is not called done in a file that nobody will open again.
// Planted and caught: a terminal status written without a look at the name.
func TestMovedUnderTheRun(t *testing.T) {
	for how, move := range moves {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.db")
			s := newStore(openAt(t, path))
			err := s.Run(t.Context(), "m", func(context.Context, *sql.DB) error { return move(path) })
			if !errors.Is(err, asyncmig.ErrMoved) {
				t.Errorf("%v, want ErrMoved", err)
			}
			wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
		})
	}
}

// All names of one file are one database.
// Planted and caught: a guard by store alone, without the file.
func TestNamesOfOneFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	must(t, os.Symlink("data", filepath.Join(dir, "link")))
	must(t, os.Symlink(filepath.Join("data", "app.db"), filepath.Join(dir, "other.db")))
	t.Chdir(dir)
	owner := newStore(openAt(t, filepath.Join(dir, "data", "app.db")))
	err := owner.Run(t.Context(), "m", func(context.Context, *sql.DB) error {
		for _, name := range []string{"data/app.db", "./data/../data/app.db", "link/app.db", "other.db", dir + "/link/app.db"} {
			var c counter
			if err := newStore(openAt(t, name)).Run(t.Context(), "m", c.run); !errors.Is(err, asyncmig.ErrOwned) {
				t.Errorf("%s: %v, want that it is owned", name, err)
			}
			c.want(t, 0)
		}
		return nil
	})
	must(t, err)
}

// The same from another process, whose guard is the file alone.
func TestSymlinkInAnotherProcess(t *testing.T) {
	path, db := shared(t)
	link := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(path, link))
	f := newFamily(t, link, 1)
	owner := f.start()
	var c counter
	wantErr(t, newStore(db).Run(t.Context(), "m", c.run), asyncmig.ErrOwned)
	c.want(t, 0)
	f.finish(owner, "succeed")
}

// Under another name the log of the file is another one: whoever comes by that, owner
// or standby, must not write a byte. Planted and caught: no look at who has the file
// open, and none before a standby registers.
func TestOtherNameInAnotherProcess(t *testing.T) {
	for how, rename := range map[string]func(old, new string) error{"hard link": os.Link, "renamed": os.Rename} {
		for _, owned := range []bool{false, true} {
			t.Run(fmt.Sprint(how, ", owned: ", owned), func(t *testing.T) {
				path, db := shared(t)
				s := newStore(db)
				other := path + ".other"
				work := func(context.Context, *sql.DB) error {
					must(t, rename(path, other))
					f := newFamily(t, other, 1)
					for _, c := range f.all {
						must(t, c.tell("start"))
					}
					if said := f.line(); !strings.Contains(said, asyncmig.ErrOtherName.Error()) {
						t.Errorf("the other process says %q", said)
					}
					return asyncmig.ErrKeepPending
				}
				if owned {
					wantErr(t, s.Run(t.Context(), "m", work), asyncmig.ErrKeepPending)
				} else {
					_ = work(t.Context(), db)
				}
				wantValue(t, db, "ok", "PRAGMA integrity_check")
			})
		}
	}
}

// Databases in memory have no file: the guard is the process's, for each *sql.DB.
// Planted and caught: all databases in memory taken for one.
func TestInMemory(t *testing.T) {
	t.Chdir(t.TempDir())
	openMemory := func() *sql.DB {
		db, err := sql.Open("sqlite", ":memory:")
		must(t, err)
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { db.Close() })
		return db
	}
	one, two := openMemory(), openMemory()
	s, g := newStore(one), newGate()
	must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
	<-g.began
	var c counter
	wantErr(t, newStore(one).Run(t.Context(), "m", c.run), asyncmig.ErrOwned)
	c.want(t, 0)
	must(t, newStore(two).Run(t.Context(), "m", c.run))
	c.want(t, 1)
	g.end <- nil
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusDone)
	if names := dirNames(t, "."); names != nil {
		t.Errorf("files were made: %q", names)
	}
}

func TestRun(t *testing.T) {
	db := open(t)
	s := newStore(db)
	broken := errors.New("bad row")
	failing := counter{err: broken}
	if err := s.Run(t.Context(), "m", failing.run); err != broken {
		t.Errorf("%v, want the function's own error", err)
	}
	wantStatus(t, s, "m", asyncmig.StatusFailed)

	err := s.Run(t.Context(), "m", func(context.Context, *sql.DB) error { panic("boom") })
	if err == nil || err.Error() != "panic: boom" {
		t.Errorf("after a panic: %v", err)
	}
	wantValue(t, db, "panic: boom", "SELECT error FROM _async_migrations")

	var c counter
	must(t, s.Run(t.Context(), "m", c.run))
	wantStatus(t, s, "m", asyncmig.StatusDone)
	wantErr(t, s.Run(t.Context(), "m", c.run), asyncmig.ErrDone)
	c.want(t, 1)
}

// The caller's goroutine may end inside fn, as t.FailNow ends it.
func TestRunAndGoexit(t *testing.T) {
	s := newStore(open(t))
	end := make(chan struct{})
	go func() {
		defer close(end)
		_ = s.Run(t.Context(), "m", func(context.Context, *sql.DB) error { runtime.Goexit(); return nil })
	}()
	<-end
	wantStatus(t, s, "m", asyncmig.StatusFailed)
	var c counter
	must(t, s.Run(t.Context(), "m", c.run))
}

// Run is waited for like a run in the background.
func TestWaitCoversRun(t *testing.T) {
	s, g := newStore(open(t)), newGate()
	go func() { _ = s.Run(t.Context(), "m", g.run) }()
	<-g.began
	go func() { g.end <- nil }()
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusDone)
}

// Inside a migration Run does not lock itself out, and leaves the status to the
// outer run; other migrations and other databases are not meant.
// Planted and caught: the held name compared without the database.
func TestRunInside(t *testing.T) {
	db, other := open(t), open(t)
	s := newStore(db)
	inner := errors.New("bad row")
	err := s.Run(t.Context(), "m", func(ctx context.Context, _ *sql.DB) error {
		failing := counter{err: inner}
		wantErr(t, newStore(db).Run(ctx, "m", failing.run), inner)
		wantStatus(t, s, "m", asyncmig.StatusPendingAsync)

		var c counter
		must(t, s.Run(ctx, "n", c.run))
		wantStatus(t, s, "n", asyncmig.StatusDone)
		must(t, newStore(other).Run(ctx, "m", c.run))
		wantStatus(t, newStore(other), "m", asyncmig.StatusDone)
		c.want(t, 2)

		wantErr(t, s.Run(t.Context(), "m", c.run), asyncmig.ErrOwned) // not with this ctx
		return nil
	})
	must(t, err)
	wantStatus(t, s, "m", asyncmig.StatusDone)
}

// A context that outlives its run must not let anybody past the next one.
// Planted and caught: the held name believed for ever.
func TestContextOutlivesItsRun(t *testing.T) {
	s, g := newStore(open(t)), newGate()
	var kept context.Context
	stop := func(ctx context.Context, _ *sql.DB) error { kept = ctx; return asyncmig.ErrKeepPending }
	wantErr(t, s.Run(t.Context(), "m", stop), asyncmig.ErrKeepPending)
	must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
	<-g.began
	var c counter
	wantErr(t, s.Run(kept, "m", c.run), asyncmig.ErrOwned)
	c.want(t, 0)
	g.end <- nil
	s.WaitForAsyncMigrations()
}

func TestKeepPending(t *testing.T) {
	db := open(t)
	s := newStore(db)
	stopped := counter{err: errors.Join(errors.New("shutting down"), asyncmig.ErrKeepPending)}
	must(t, s.RunAsyncMigration(t.Context(), "m", stopped.run))
	s.WaitForAsyncMigrations()
	wantValue(t, db, "pending_async,,", "SELECT status || ',' || ifnull(ended_at, '') || ',' || ifnull(error, '') FROM _async_migrations")
	wantErr(t, s.Run(t.Context(), "m", stopped.run), asyncmig.ErrKeepPending)
	stopped.want(t, 2)

	var c counter
	must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
	s.WaitForAsyncMigrations()
	c.want(t, 1)
	wantStatus(t, s, "m", asyncmig.StatusDone)
}

// Who runs a migration is asked of the kernel.
// Planted and caught: an Owner that knows this process alone.
func TestOwner(t *testing.T) {
	path, db := shared(t)
	s := newStore(db)
	want := func(want string) {
		t.Helper()
		owner, owned, err := s.Owner(t.Context(), "m")
		if owner != want || owned != (want != "") || err != nil {
			t.Errorf("owner %q, %v, %v; want %q", owner, owned, err, want)
		}
	}
	want("")
	f := newFamily(t, path, 1)
	owner := f.start()
	want(fmt.Sprintf("pid %d on this machine", owner.cmd.Process.Pid))
	owner.kill()
	want("")
	must(t, s.Run(t.Context(), "m", func(context.Context, *sql.DB) error { want("this process"); return nil }))
	want("")
}

func TestExclusive(t *testing.T) {
	db := open(t)
	s := newStore(db)
	broken := errors.New("nothing of the ledger's business")
	err := s.Exclusive(t.Context(), "m", func(ctx context.Context) error {
		var c counter
		wantErr(t, s.Run(t.Context(), "m", c.run), asyncmig.ErrOwned)
		c.want(t, 0)
		return broken
	})
	if err != broken {
		t.Errorf("%v, want the function's own error", err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema")
	must(t, s.Exclusive(t.Context(), "m", func(context.Context) error { return nil }))
}

// A start that meets Exclusive is not lost.
// Planted and caught: no standby where the owner was this process.
func TestStartDuringExclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t)
		s := newStore(db)
		var c counter
		must(t, s.Exclusive(t.Context(), "m", func(context.Context) error {
			must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
			pass()
			c.want(t, 0)
			return nil
		}))
		pass()
		s.WaitForAsyncMigrations()
		c.want(t, 1)
		wantStatus(t, s, "m", asyncmig.StatusDone)
		must(t, db.Close())
	})
}

func TestFail(t *testing.T) {
	db := open(t)
	s, g := newStore(db), newGate()
	must(t, s.Fail(t.Context(), "m", "cancelled by ann"))
	wantStatus(t, s, "m", asyncmig.StatusFailed)
	wantValue(t, db, "cancelled by ann", "SELECT error FROM _async_migrations")

	must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
	wantErr(t, s.Fail(t.Context(), "m", "too early"), asyncmig.ErrOwned)
	wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
	g.end <- nil
	s.WaitForAsyncMigrations()
	wantErr(t, s.Fail(t.Context(), "m", "too late"), asyncmig.ErrDone)
	wantStatus(t, s, "m", asyncmig.StatusDone)
	wantValue(t, db, "", "SELECT error FROM _async_migrations")
}
