package exit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
)

// A table that is dropped under a job has rows changed already: that is no wrong
// usage. Planted and caught: what is wrong with the table looked at first.
func TestExitCodeOfATableThatChanged(t *testing.T) {
	for err, want := range map[error]int{
		engine.ErrNoTable: Usage,
		fmt.Errorf("%w: %w", engine.ErrTableChanged, engine.ErrNoTable): Failed,
	} {
		if got := Code(t.Context(), err); got != want {
			t.Errorf("%v: exit status %d, want %d", err, got, want)
		}
	}
}

// Who stops a command learns that from its status: Ctrl-C from a terminate, and both from
// a job that somebody else has interrupted. Planted and caught: the cause not asked for.
func TestExitCodeOfASignal(t *testing.T) {
	for cause, want := range map[string]int{"interrupt signal received": Interrupted, "terminated signal received": Unfinished, "": Unfinished} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if cause != "" {
			cancel(errors.New(cause))
		}
		if got := Code(ctx, GoesOn); got != want {
			t.Errorf("%q: exit status %d, want %d", cause, got, want)
		}
		cancel(nil)
	}
}

// What nobody has begun, what is not at its end and what somebody else has are told apart
// from failures. Planted and caught: an error of SQLite taken for a failure, whatever it is.
func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		nil:                    OK,
		errors.New("no"):       Failed,
		Usagef("no"):           Usage,
		Unfinishedf("not yet"): Unfinished,
		fmt.Errorf("%w: j", engine.ErrUnknownJob): NoJob,
		&asyncmig.OwnedError{Name: "j"}:           Busy,
		lockedError(t):                            Busy,
	} {
		if got := Code(t.Context(), err); got != want {
			t.Errorf("%v: exit status %d, want %d", err, got, want)
		}
	}
}

// lockedError is what SQLite says of a database that another connection keeps locked.
func lockedError(t *testing.T) error {
	path := filepath.Join(t.TempDir(), "app.db")
	var dbs [2]*sql.DB
	for i := range dbs {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		db.SetMaxOpenConns(1)
		dbs[i] = db
	}
	if _, err := dbs[0].Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	_, err := dbs[1].Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	if err == nil {
		t.Fatal("the database is not locked")
	}
	return fmt.Errorf("open it: %w", err)
}

// TestWayOutOfAFullDisk: SQLite says that the disk is full, and no more. Planted and caught: another code.
func TestWayOutOfAFullDisk(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "app.db")+"?_pragma=max_page_count(3)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, full := db.Exec("CREATE TABLE t AS SELECT randomblob(100000) AS b")
	_, wrong := db.Exec("CREATE TABEL t (b)")
	if full == nil || WayOut(fmt.Errorf("cancel: %w", full)) == "" {
		t.Errorf("%v has no way out", full)
	}
	if got := WayOut(wrong) + WayOut(nil); got != "" {
		t.Errorf("the way out of %v is %q", wrong, got)
	}
}
