//go:build go1.25

package asyncmig_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// TestAfterEnd: what it is given is called when the ledger has the end and others may run
// the migration, before whoever waits for the run goes on.
func TestAfterEnd(t *testing.T) {
	db := open(t)
	s := newStore(db)
	for name, end := range map[string]error{asyncmig.StatusDone: nil, asyncmig.StatusFailed: errors.New("no")} {
		told := ""
		must(t, s.RunAsyncMigration(t.Context(), name, func(ctx context.Context, _ *sql.DB) error {
			registered := s.AfterEnd(ctx, name, func() {
				status, err := s.AsyncMigrationStatus(name)
				must(t, err)
				told += status
				must(t, s.Exclusive(context.WithoutCancel(ctx), name, func(context.Context) error { return nil }))
			})
			if !registered || s.AfterEnd(ctx, "another", func() { told += "another" }) {
				t.Error("it is for the run of its context, and for no other")
			}
			return end
		}))
		s.WaitForAsyncMigrations()
		if told != name {
			t.Errorf("told %q, want %q", told, name)
		}
	}

	must(t, s.Exclusive(t.Context(), "kept", func(ctx context.Context) error {
		if s.AfterEnd(ctx, "kept", func() { t.Error("nothing has run") }) {
			t.Error("there is no run")
		}
		return nil
	}))
	if s.AfterEnd(t.Context(), "done", func() {}) {
		t.Error("there is no run")
	}
}
