package checkpoint_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// open returns a database as a host has it: one connection, WAL.
func open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// withTables returns a database that has the checkpoint tables.
func withTables(t testing.TB) *sql.DB {
	t.Helper()
	db := open(t)
	must(t, inTx(t, db, func(tx *sql.Tx) error { return checkpoint.UpgradeTx(testContext(t), tx) }))
	return db
}

// inTx commits what f wrote, or rolls it back if f fails.
func inTx(t testing.TB, db *sql.DB, f func(*sql.Tx) error) error {
	t.Helper()
	tx, err := db.BeginTx(testContext(t), nil)
	must(t, err)
	if err := f(tx); err != nil {
		must(t, tx.Rollback())
		return err
	}
	return tx.Commit()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(testContext(t), statement, args...)
	must(t, err)
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func wantEqual(t testing.TB, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func load(t testing.TB, q checkpoint.Querier, name string) checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Load(testContext(t), q, name)
	must(t, err)
	return c
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 345e6, time.UTC)

// taken is a job as its first run registers it. Every field that Take writes
// differs from its zero value and from the others.
func taken(name, run string) checkpoint.Checkpoint {
	return checkpoint.Checkpoint{
		Name: name, RunID: run, Fingerprint: "fp", Definition: "UPDATE t", Table: "t",
		Owner: checkpoint.Owner{PID: 7, Host: "h", Since: noon.Add(-time.Second)},
		Phase: checkpoint.Registered, Lower: "lower", Upper: "upper", Cursor: "cursor",
		Pass: 2, Total: 11, Left: -1,
		CreatedAt: noon, UpdatedAt: noon,
	}
}

// worked is the same job some batches later. Every field that SaveTx writes differs.
func worked(c checkpoint.Checkpoint) checkpoint.Checkpoint {
	c.Phase, c.Reason, c.Error = checkpoint.Waiting, "the window is closed", "an error"
	c.Cursor, c.Pass = "further", 1
	c.Rows, c.Changed, c.Quarantined, c.Left, c.Batches, c.BatchRows = 21, 22, 23, 24, 1, 26
	c.Working, c.Throttled, c.PausedFor = 31*time.Microsecond, 32*time.Millisecond, 33*time.Second
	return c
}

// Planted and caught: throttled_us and paused_us swapped in SaveTx alone, and in scan alone.
func TestRowsRoundTrip(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run 1")
	must(t, checkpoint.Take(testContext(t), db, c, noon))
	wantEqual(t, load(t, db, "j"), c)

	c = worked(c)
	c.UpdatedAt = noon.Add(time.Minute)
	_, err := checkpoint.SaveTx(testContext(t), db, c, c.UpdatedAt)
	must(t, err)
	wantEqual(t, load(t, db, "j"), c)
}

// Keys are opaque here, and must come back byte for byte; so must what people and
// SQLite write into reasons.
func TestTextSurvives(t *testing.T) {
	db := withTables(t)
	c := taken("quote ' and ünïcode", "run")
	c.Cursor, c.Lower, c.Upper = "2026-01-02 03:04:05", "", `x'00ff' || "''"`
	c.Definition = "line\n\ttab"
	must(t, checkpoint.Take(testContext(t), db, c, noon))
	wantEqual(t, load(t, db, c.Name), c)
}

func TestListIsOrderedByName(t *testing.T) {
	db := withTables(t)
	for _, name := range []string{"b", "c", "a"} {
		must(t, checkpoint.Take(testContext(t), db, taken(name, "run"), noon))
	}
	all, err := checkpoint.List(testContext(t), db)
	must(t, err)
	wantEqual(t, all, []checkpoint.Checkpoint{taken("a", "run"), taken("b", "run"), taken("c", "run")})
}

// A second run continues the counts of the first, owns the row from then on, and
// is told what was asked of the first.
func TestTakeKeepsCountsAndRequests(t *testing.T) {
	db := withTables(t)
	first := taken("j", "run 1")
	must(t, checkpoint.Take(testContext(t), db, first, noon))
	first = worked(first)
	_, err := checkpoint.SaveTx(testContext(t), db, first, noon)
	must(t, err)
	must(t, checkpoint.Ask(testContext(t), db, "j", checkpoint.Pause, "ann", "lunch"))

	second := first
	second.RunID, second.Owner.PID, second.Phase = "run 2", 8, checkpoint.Running
	must(t, checkpoint.Take(testContext(t), db, second, noon.Add(time.Hour)))

	second.Reason, second.Error, second.UpdatedAt = "", "", noon.Add(time.Hour)
	second.Request = checkpoint.Request{Control: checkpoint.Pause, By: "ann", Reason: "lunch"}
	wantEqual(t, load(t, db, "j"), second)
}

// Planted and caught: SaveTx without "AND run_id = ?".
func TestLostOwnerWritesNothing(t *testing.T) {
	db := withTables(t)
	must(t, checkpoint.Take(testContext(t), db, taken("j", "run 1"), noon))
	must(t, checkpoint.Take(testContext(t), db, taken("j", "run 2"), noon))
	before := load(t, db, "j")

	_, err := checkpoint.SaveTx(testContext(t), db, worked(taken("j", "run 1")), noon.Add(time.Minute))
	wantErr(t, err, checkpoint.ErrLostOwner)
	wantEqual(t, load(t, db, "j"), before)

	_, err = checkpoint.SaveTx(testContext(t), db, worked(taken("j", "run 2")), noon.Add(time.Minute))
	must(t, err)
}

// A backup from the middle of this very run is restored under it: the rows after that
// batch are undone, and the run must not go on as if they were done.
// Planted and caught: SaveTx without a look at the batches.
func TestRestoredRecordStopsTheRun(t *testing.T) {
	for _, restored := range []int64{0, 1, 5} {
		db := withTables(t)
		c := taken("j", "run")
		must(t, checkpoint.Take(testContext(t), db, c, noon))
		exec(t, db, "UPDATE _async_migration_checkpoints SET batches = ?", restored)
		before := load(t, db, "j")
		c.Batches = 3 // the next after the second
		_, err := checkpoint.SaveTx(testContext(t), db, c, noon.Add(time.Minute))
		wantErr(t, err, checkpoint.ErrLostOwner)
		wantEqual(t, load(t, db, "j"), before)
	}
}

// A job that was forgotten under its run has lost its owner too.
func TestSaveWithoutRow(t *testing.T) {
	db := withTables(t)
	_, err := checkpoint.SaveTx(testContext(t), db, taken("j", "run"), noon)
	wantErr(t, err, checkpoint.ErrLostOwner)
}

// A rolled back batch takes its checkpoint with it.
func TestSaveIsPartOfTheTransaction(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, checkpoint.Take(testContext(t), db, c, noon))
	broken := errors.New("the batch failed")
	err := inTx(t, db, func(tx *sql.Tx) error {
		if _, err := checkpoint.SaveTx(testContext(t), tx, worked(c), noon); err != nil {
			return err
		}
		wantEqual(t, load(t, tx, "j").Cursor, "further")
		return broken
	})
	wantErr(t, err, broken)
	wantEqual(t, load(t, db, "j"), c)
}

// What is asked reaches the run with its next save, in the same statement.
// Planted and caught: Ask that also clears the tuned values.
func TestAskAndTuneReachTheRun(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, checkpoint.Take(testContext(t), db, c, noon))
	tuning := checkpoint.Tuning{TargetHold: 500 * time.Microsecond, MaxRate: 1234.5}
	steps := []struct {
		ask  func() error
		want checkpoint.Request
	}{
		{func() error { return nil }, checkpoint.Request{}},
		{func() error { return checkpoint.Tune(testContext(t), db, "j", tuning) }, checkpoint.Request{Tuning: tuning}},
		{func() error { return checkpoint.Ask(testContext(t), db, "j", checkpoint.Pause, "ann", "lunch") },
			checkpoint.Request{Control: checkpoint.Pause, By: "ann", Reason: "lunch", Tuning: tuning}},
		{func() error { return checkpoint.Ask(testContext(t), db, "j", checkpoint.Cancel, "bob", "wrong job") },
			checkpoint.Request{Control: checkpoint.Cancel, By: "bob", Reason: "wrong job", Tuning: tuning}},
		{func() error { return checkpoint.Ask(testContext(t), db, "j", checkpoint.NoControl, "", "") },
			checkpoint.Request{Tuning: tuning}},
		{func() error { return checkpoint.Tune(testContext(t), db, "j", checkpoint.Tuning{MaxRate: -1}) },
			checkpoint.Request{Tuning: checkpoint.Tuning{MaxRate: -1}}},
	}
	for i, step := range steps {
		must(t, step.ask())
		got, err := checkpoint.SaveTx(testContext(t), db, c, noon)
		must(t, err)
		if got != step.want {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
		wantEqual(t, load(t, db, "j").Request, step.want)
	}
}

func TestSetPhase(t *testing.T) {
	db := withTables(t)
	want := taken("j", "run")
	must(t, checkpoint.Take(testContext(t), db, want, noon))
	must(t, checkpoint.SetPhase(testContext(t), db, "j", checkpoint.Cancelled))
	want.Phase = checkpoint.Cancelled
	wantEqual(t, load(t, db, "j"), want)
}

// Changes of one job leave the others alone, and of an unknown one are refused.
func TestChangesOfAnotherJob(t *testing.T) {
	db := withTables(t)
	other := taken("other", "run")
	must(t, checkpoint.Take(testContext(t), db, other, noon))
	must(t, checkpoint.Take(testContext(t), db, taken("j", "run"), noon))
	must(t, checkpoint.SetPhase(testContext(t), db, "j", checkpoint.Done))
	must(t, checkpoint.Ask(testContext(t), db, "j", checkpoint.Pause, "ann", ""))
	wantEqual(t, load(t, db, "other"), other)
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, checkpoint.ErrUnknown)
	}
}

func unknownJob(ctx context.Context, db *sql.DB) []error {
	_, err := checkpoint.Load(ctx, db, "nobody")
	return []error{
		err,
		checkpoint.Ask(ctx, db, "nobody", checkpoint.Pause, "", ""),
		checkpoint.Tune(ctx, db, "nobody", checkpoint.Tuning{MaxRate: 1}),
		checkpoint.SetPhase(ctx, db, "nobody", checkpoint.Done),
	}
}

// Planted and caught: a zero that reads as a value, a lifted cap as a negative one.
func TestTuningInWords(t *testing.T) {
	for want, tuning := range map[string]checkpoint.Tuning{
		"as configured":                        {},
		"target hold 2ms":                      {TargetHold: 2 * time.Millisecond},
		"target hold 2ms, at most 5000 rows/s": {TargetHold: 2 * time.Millisecond, MaxRate: 5000},
		"at most 0.5 rows/s":                   {MaxRate: 0.5},
		"no cap on rows/s":                     {MaxRate: -1},
	} {
		if got := tuning.Words(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
