package asyncmig_test

import (
	"database/sql"
	"testing"

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
