//go:build go1.25

package asyncmig_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// Of several standbys of one process one takes over; the others leave it to that
// one, also when it stops in good order.
// Planted and caught: standbys that outlast a run of their own process.
func TestStandbysOfOneProcess(t *testing.T) {
	withOwner(t, func(t *testing.T, f *family, owner *child, db *sql.DB) {
		s, g := newStore(db), newGate()
		for range 5 {
			must(t, s.RunAsyncMigration(t.Context(), "m", g.run)) // a second run would panic
		}
		owner.kill()
		<-g.began
		pass()
		wantStandbys(t, s, 0)
		g.end <- asyncmig.ErrKeepPending
		pass()
		s.WaitForAsyncMigrations()
		wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
	})
}

// holdAll keeps n migrations from running while do is called.
func holdAll(t *testing.T, s *asyncmig.Store, n int, do func()) {
	t.Helper()
	if n == 0 {
		do()
		return
	}
	must(t, s.Exclusive(t.Context(), standbyName(n), func(context.Context) error {
		holdAll(t, s, n-1, do)
		return nil
	}))
}

func standbyName(i int) string { return fmt.Sprintf("m%03d", i) }

// Hundreds of standbys are one goroutine, which Close ends with them; nothing is taken
// over, begun or written after it.
// Planted and caught: a goroutine for each; a Close that leaves them; a start that does
// not look whether the store is closed.
func TestManyStandbys(t *testing.T) {
	const n = 200
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		db, other := openAt(t, path), openAt(t, path)
		s := newStore(db)
		var c counter
		holdAll(t, newStore(other), n, func() {
			must(t, db.PingContext(t.Context()))
			before := runtime.NumGoroutine()
			for i := range n {
				must(t, s.RunAsyncMigration(t.Context(), standbyName(i+1), c.run))
			}
			pass()
			wantStandbys(t, s, n)
			if more := runtime.NumGoroutine() - before; more > 3 {
				t.Errorf("%d standbys are %d goroutines", n, more)
			}
			s.Close()
			wantStandbys(t, s, 0)
			synctest.Wait()
			if more := runtime.NumGoroutine() - before; more > 1 {
				t.Errorf("%d goroutines are left", more)
			}
		})
		pass()
		c.want(t, 0)
		wantValue(t, db, "200", "SELECT count(*) FROM _async_migrations WHERE status = 'pending_async'")

		before := value(t, db, "SELECT total_changes()")
		for call, err := range map[string]error{
			"RunAsyncMigration": s.RunAsyncMigration(t.Context(), "late", c.run),
			"Run":               s.Run(t.Context(), "late", c.run),
			"Exclusive":         s.Exclusive(t.Context(), "late", func(ctx context.Context) error { return c.run(ctx, nil) }),
			"Fail":              s.Fail(t.Context(), "late", "why"),
		} {
			if !errors.Is(err, asyncmig.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", call, err)
			}
		}
		c.want(t, 0)
		wantValue(t, db, before, "SELECT total_changes()")
		must(t, db.Close())
		must(t, other.Close())
	})
}

// Standbys of an owner that dies take over all its migrations, each once.
func TestManyStandbysTakeOver(t *testing.T) {
	const n = 50
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		db, other := openAt(t, path), openAt(t, path)
		s := newStore(db)
		var c counter
		holdAll(t, newStore(other), n, func() {
			for i := range n {
				must(t, s.RunAsyncMigration(t.Context(), standbyName(i+1), c.run))
			}
		})
		pass()
		s.WaitForAsyncMigrations()
		c.want(t, n)
		wantStandbys(t, s, 0)
		wantValue(t, db, "50", "SELECT count(*) FROM _async_migrations WHERE status = 'done'")
		must(t, db.Close())
		must(t, other.Close())
	})
}

// One standby among others ends with its own context.
func TestOneStandbyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		db, other := openAt(t, path), openAt(t, path)
		s := newStore(db)
		var stays, goes counter
		holdAll(t, newStore(other), 2, func() {
			ctx, cancel := context.WithCancel(t.Context())
			must(t, s.RunAsyncMigration(t.Context(), standbyName(1), stays.run))
			must(t, s.RunAsyncMigration(ctx, standbyName(2), goes.run))
			cancel()
			synctest.Wait()
			wantStandbys(t, s, 1)
		})
		pass()
		s.WaitForAsyncMigrations()
		stays.want(t, 1)
		goes.want(t, 0)
		must(t, db.Close())
		must(t, other.Close())
	})
}

// A standby that could not be registered, since another process kept the write lock, is
// registered when its turn comes.
// Planted and caught: a standby that takes "not in the ledger" for its end.
func TestLateStandby(t *testing.T) {
	withLocker(t, func(t *testing.T, s *asyncmig.Store, db *sql.DB, _ *lines, lock func(string)) {
		lock("lock")
		var c counter
		must(t, s.Exclusive(t.Context(), "m", func(context.Context) error {
			must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
			wantStandbys(t, s, 1)
			return nil
		}))
		lock("unlock")
		pass()
		s.WaitForAsyncMigrations()
		c.want(t, 1)
		wantStatus(t, s, "m", asyncmig.StatusDone)
	})
}
