package checkpoint_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/record"
)

// open returns a database as a host has it: one connection, WAL.
func open(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantEqual(t testing.TB, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 345e6, time.UTC)

// TestReads: whoever may only read the database learns all that is kept of a job, under
// the names of this package.
func TestReads(t *testing.T) {
	ctx := testContext(t)
	path := filepath.Join(t.TempDir(), "app.db")
	db := open(t, path)
	var c checkpoint.Checkpoint
	c.Name, c.Phase, c.Pass, c.Left, c.Of, c.Cursor, c.Upper, c.RunID = "j", checkpoint.Paused, 1, -1, "walk", `["7"]`, `["9"]`, "run"
	event := checkpoint.Event{At: noon, Event: "paused", By: "ann", Detail: "lunch"}
	row := checkpoint.BadRow{Step: "walk", Key: `["3"]`, Error: "bad", Attempts: 1, At: noon}
	sample := checkpoint.Sample{At: noon, Rows: 7, BatchRows: 3, Hold: time.Millisecond, WALBytes: 4096}
	must(t, record.UpgradeTx(ctx, db))
	must(t, record.TakeTx(ctx, db, c, noon))
	must(t, record.AddEvent(ctx, db, "j", event))
	must(t, record.QuarantineTx(ctx, db, "j", row.Step, row.Key, row.Error, noon))
	must(t, record.AddSample(ctx, db, "j", sample))

	reader := open(t, "file:"+path+"?mode=ro")
	got, err := checkpoint.Load(ctx, reader, "j")
	must(t, err)
	wantEqual(t, []any{got.Name, got.Phase, got.Cursor, got.RunID, got.UpdatedAt}, []any{c.Name, c.Phase, c.Cursor, c.RunID, noon})
	all, err := checkpoint.List(ctx, reader)
	must(t, err)
	wantEqual(t, all, []checkpoint.Checkpoint{got})
	events, err := checkpoint.Events(ctx, reader, "j", checkpoint.MaxEvents)
	must(t, err)
	wantEqual(t, events, []checkpoint.Event{event})
	rows, err := checkpoint.Quarantine(ctx, reader, "j")
	must(t, err)
	wantEqual(t, rows, []checkpoint.BadRow{row})
	samples, err := checkpoint.Samples(ctx, reader, "j")
	must(t, err)
	wantEqual(t, samples, []checkpoint.Sample{sample})
	version, err := checkpoint.Version(ctx, reader)
	must(t, err)
	wantEqual(t, version, checkpoint.CurrentVersion)
}

// TestErrors: what cannot be read says why, by a name of this package.
func TestErrors(t *testing.T) {
	ctx := testContext(t)
	db := open(t, filepath.Join(t.TempDir(), "app.db"))
	load := func(want error) {
		t.Helper()
		if _, err := checkpoint.Load(ctx, db, "j"); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	load(checkpoint.ErrUnknown) // no tables
	must(t, record.UpgradeTx(ctx, db))
	load(checkpoint.ErrUnknown)

	var c checkpoint.Checkpoint
	c.Name, c.Of = "j", "walk"
	must(t, record.TakeTx(ctx, db, c, noon))
	load(nil)
	for _, damage := range []struct {
		statement string
		want      error
	}{
		{"DELETE FROM _async_migration_ranges", checkpoint.ErrUnreadable},
		{"UPDATE _async_migration_schema SET version = version + 1", checkpoint.ErrNewer},
	} {
		_, err := db.ExecContext(ctx, damage.statement)
		must(t, err)
		load(damage.want)
	}
}
