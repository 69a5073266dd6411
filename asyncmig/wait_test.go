//go:build go1.25

package asyncmig_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// A run is waited for until the ledger has its end, a standby until it has taken over and
// come to its end, or the store is closed; what is of another name is not.
// Planted and caught: a standby that is not waited for; a run of another name waited for; a
// Close that leaves those who wait.
func TestWaitForAsyncMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		s, others, g := newStore(openAt(t, path)), newStore(openAt(t, path)), newGate()
		wait := func(name string) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return s.WaitForAsyncMigration(ctx, name)
		}

		must(t, s.RunAsyncMigration(t.Context(), "run", g.run))
		<-g.began
		must(t, wait("another"))
		wantErr(t, wait("run"), context.DeadlineExceeded)
		go func() { g.end <- nil }()
		must(t, wait("run"))
		wantStatus(t, s, "run", asyncmig.StatusDone)

		var c counter
		must(t, others.Exclusive(t.Context(), "standby", func(ctx context.Context) error {
			must(t, s.RunAsyncMigration(t.Context(), "standby", c.run))
			wantErr(t, wait("standby"), context.DeadlineExceeded)
			return nil
		}))
		must(t, wait("standby"))
		wantStatus(t, s, "standby", asyncmig.StatusDone)
		c.want(t, 1)

		must(t, others.Exclusive(t.Context(), "closed", func(ctx context.Context) error {
			must(t, s.RunAsyncMigration(t.Context(), "closed", c.run))
			go s.Close()
			must(t, wait("closed"))
			return nil
		}))
		c.want(t, 1)
	})
}

// A standby is waited for at each moment of its taking over, when it is a standby, then both
// and then a run. Planted and caught: the runs looked at first, and the standbys a quarter
// of a second later.
func TestWaitWhileTakingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		s, others, g := newStore(openAt(t, path)), newStore(openAt(t, path)), newGate()
		must(t, others.Exclusive(t.Context(), "m", func(context.Context) error {
			return s.RunAsyncMigration(t.Context(), "m", g.run)
		}))

		var ended atomic.Bool
		var waiting sync.WaitGroup
		for range 60 { // longer than it takes to take over
			waiting.Add(1)
			go func() {
				defer waiting.Done()
				if err := s.WaitForAsyncMigration(t.Context(), "m"); err != nil || !ended.Load() {
					t.Errorf("waited until %v; the migration had ended: %v", err, ended.Load())
				}
			}()
			time.Sleep(10 * time.Millisecond)
		}

		<-g.began
		ended.Store(true)
		g.end <- nil
		waiting.Wait()
	})
}
