package record_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
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
	must(t, inTx(t, db, func(tx *sql.Tx) error { return record.UpgradeTx(testContext(t), tx) }))
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

func load(t testing.TB, q record.Querier, name string) chunkfill.Checkpoint {
	t.Helper()
	c, err := record.Load(testContext(t), q, name)
	must(t, err)
	return c
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 345e6, time.UTC)

// taken is a job as its first run registers it. Every field that TakeTx writes
// differs from its zero value and from the others.
func taken(name, run string) chunkfill.Checkpoint {
	return chunkfill.Checkpoint{
		JobRecord: chunkfill.JobRecord{
			Name: name, Fingerprint: "fp", Definition: "UPDATE t", Table: "t",
			Steps: []chunkfill.Step{
				{Name: "shadow", Kind: chunkfill.Once},
				{Name: "walk", Kind: chunkfill.Walk},
				{Name: "compare", Kind: chunkfill.Verify, Of: "walk"},
				{Name: "swap", Kind: chunkfill.Once, NoReturn: true},
			},
			Step: "compare", Pass: 2, Back: true, Phase: chunkfill.Registered, Left: -1,
			Takebacks: []chunkfill.Takeback{{Step: "shadow", Statements: []string{"DROP TABLE IF EXISTS s", "DROP TRIGGER IF EXISTS g"}}},
			Pins:      map[string]string{"walk": "a table", "swap": "another"},
			CreatedAt: noon, UpdatedAt: noon,
		},
		RangeRecord: chunkfill.RangeRecord{
			Of: "walk", Entered: true, Reason: "a reason",
			RunID: run, Owner: chunkfill.Owner{PID: 7, Host: "h", Since: noon.Add(-time.Second)},
			Lower: "lower", Upper: "upper", Cursor: "cursor", Total: 11,
		},
	}
}

// worked is the same job some batches later. Every field that SaveTx writes differs.
func worked(c chunkfill.Checkpoint) chunkfill.Checkpoint {
	c.Step, c.Pass, c.Back = "walk", 1, false
	c.Phase, c.Error, c.Left, c.PausedFor = chunkfill.Waiting, "an error", 24, 33*time.Second
	c.Takebacks = []chunkfill.Takeback{{Step: "shadow", Statements: []string{"SELECT 1"}}}
	c.Pins = map[string]string{"walk": "a third"}
	c.RangeRecord = batched(c.RangeRecord)
	return c
}

// batched is a range some batches later. Every field that SaveRangeTx writes differs.
func batched(r chunkfill.RangeRecord) chunkfill.RangeRecord {
	r.Entered, r.Reason = false, "the window is closed"
	r.Lower, r.Upper, r.Cursor, r.Total = "low", "up", "further", 12
	r.Rows, r.Changed, r.Quarantined, r.Batches, r.BatchRows = 21, 22, 23, 1, 26
	r.Working, r.Throttled = 31*time.Microsecond, 32*time.Millisecond
	return r
}

// save is SaveTx of a job that goes on with its range.
func save(t testing.TB, q record.Querier, c chunkfill.Checkpoint, now time.Time) (chunkfill.Request, error) {
	t.Helper()
	return record.SaveTx(testContext(t), q, c.RangeRecord, c, now)
}

// Planted and caught: throttled_us and paused_us swapped in SaveTx alone, and in scan alone.
func TestRowsRoundTrip(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run 1")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	wantEqual(t, load(t, db, "j"), c)

	c = worked(c)
	c.UpdatedAt = noon.Add(time.Minute)
	_, err := save(t, db, c, c.UpdatedAt)
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
	must(t, record.TakeTx(testContext(t), db, c, noon))
	wantEqual(t, load(t, db, c.Name), c)
}

func TestListIsOrderedByName(t *testing.T) {
	db := withTables(t)
	for _, name := range []string{"b", "c", "a"} {
		must(t, record.TakeTx(testContext(t), db, taken(name, "run"), noon))
	}
	all, err := record.List(testContext(t), db)
	must(t, err)
	wantEqual(t, all, []chunkfill.Checkpoint{taken("a", "run"), taken("b", "run"), taken("c", "run")})
}

// A second run continues the counts of the first, owns the row from then on, and
// is told what was asked of the first.
func TestTakeKeepsCountsAndRequests(t *testing.T) {
	db := withTables(t)
	first := taken("j", "run 1")
	must(t, record.TakeTx(testContext(t), db, first, noon))
	first = worked(first)
	_, err := save(t, db, first, noon)
	must(t, err)
	must(t, record.Ask(testContext(t), db, "j", chunkfill.Pause, "ann", "lunch"))

	second := first
	second.RunID, second.Owner.PID, second.Phase = "run 2", 8, chunkfill.Running
	must(t, record.TakeTx(testContext(t), db, second, noon.Add(time.Hour)))

	second.Error, second.UpdatedAt = "", noon.Add(time.Hour)
	second.Request = chunkfill.Request{Control: chunkfill.Pause, By: "ann", Reason: "lunch"}
	wantEqual(t, load(t, db, "j"), second)
}

// Planted and caught: the save of a range without "AND run_id = ?".
func TestLostOwnerWritesNothing(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, taken("j", "run 1"), noon))
	must(t, record.TakeTx(testContext(t), db, taken("j", "run 2"), noon))
	before := load(t, db, "j")

	_, err := save(t, db, worked(taken("j", "run 1")), noon.Add(time.Minute))
	wantErr(t, err, chunkfill.ErrLostOwner)
	wantEqual(t, load(t, db, "j"), before)

	_, err = save(t, db, worked(taken("j", "run 2")), noon.Add(time.Minute))
	must(t, err)
}

// A backup from the middle of this very run is restored under it: the rows after that
// batch are undone, and the run must not go on as if they were done.
// Planted and caught: the save of a range without a look at the batches.
func TestRestoredRecordStopsTheRun(t *testing.T) {
	for _, restored := range []int64{0, 1, 5} {
		db := withTables(t)
		c := taken("j", "run")
		must(t, record.TakeTx(testContext(t), db, c, noon))
		exec(t, db, "UPDATE _async_migration_ranges SET batches = ?", restored)
		before := load(t, db, "j")
		c.Batches = 3 // the next after the second
		_, err := save(t, db, c, noon.Add(time.Minute))
		wantErr(t, err, chunkfill.ErrLostOwner)
		wantEqual(t, load(t, db, "j"), before)
	}
}

// A batch writes its range and no more, so that many could share a job: the record of the
// job may be locked, or not to be written. Planted and caught: SaveRangeTx that also sets
// updated_at of the job.
func TestBatchLeavesTheJobAlone(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	exec(t, db, `CREATE TRIGGER forbid BEFORE UPDATE ON _async_migration_jobs BEGIN SELECT RAISE(ABORT, 'a batch writes the job'); END`)

	c.RangeRecord, c.UpdatedAt = batched(c.RangeRecord), noon.Add(time.Minute)
	_, err := record.SaveRangeTx(testContext(t), db, "j", c.RangeRecord, c.UpdatedAt)
	must(t, err)
	wantEqual(t, load(t, db, "j"), c)

	if _, err := save(t, db, c, noon); err == nil { // the trigger works
		t.Error("a change of state left the record of the job alone")
	}
}

// A batch of a range that another run has taken, or none has, writes nothing.
func TestBatchOfALostRange(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, taken("j", "run 2"), noon))
	before := load(t, db, "j")
	other := taken("j", "run 2").RangeRecord
	other.Of = "another"
	for _, r := range []chunkfill.RangeRecord{taken("j", "run 1").RangeRecord, other} {
		_, err := record.SaveRangeTx(testContext(t), db, "j", batched(r), noon.Add(time.Minute))
		wantErr(t, err, chunkfill.ErrLostOwner)
	}
	_, err := record.SaveRangeTx(testContext(t), db, "nobody", batched(before.RangeRecord), noon)
	wantErr(t, err, chunkfill.ErrLostOwner)
	wantEqual(t, load(t, db, "j"), before)
}

// next is the job as it goes on with a range of its own for the next step.
func next(c chunkfill.Checkpoint) chunkfill.Checkpoint {
	c.Step = "swap"
	c.RangeRecord = chunkfill.RangeRecord{Of: "swap", RunID: c.RunID, Owner: c.Owner}
	return c
}

// A job that goes on with another range keeps the one it leaves, and owns both.
// Planted and caught: SaveTx that saves nothing of the range that is left; one that does
// not look at who owns it.
func TestNextRange(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	left := batched(c.RangeRecord)

	_, err := record.SaveTx(testContext(t), db, left, next(c), noon)
	must(t, err)
	wantEqual(t, load(t, db, "j"), next(c))

	back := c
	back.RangeRecord = left
	_, err = record.SaveTx(testContext(t), db, next(c).RangeRecord, back, noon)
	must(t, err)
	wantEqual(t, load(t, db, "j"), back)

	must(t, record.TakeTx(testContext(t), db, taken("j", "run 2"), noon))
	before := load(t, db, "j")
	_, err = record.SaveTx(testContext(t), db, left, next(c), noon)
	wantErr(t, err, chunkfill.ErrLostOwner)
	wantEqual(t, load(t, db, "j"), before)
}

// What is dropped is walked anew, of this job alone. Planted and caught: a quarantine that
// stays, and ranges of every job.
func TestDropRanges(t *testing.T) {
	db := withTables(t)
	for _, name := range []string{"j", "other"} {
		c := taken(name, "run")
		must(t, record.TakeTx(testContext(t), db, c, noon))
		_, err := record.SaveTx(testContext(t), db, batched(c.RangeRecord), next(c), noon)
		must(t, err)
		for _, step := range []string{"walk", "swap"} {
			must(t, record.QuarantineTx(testContext(t), db, name, step, "key", "bad", noon))
		}
	}
	must(t, record.DropRangesTx(testContext(t), db, "j", []string{"walk", "never begun"}))

	for query, want := range map[string]string{
		"SELECT group_concat(name || ' ' || step) FROM _async_migration_ranges":     "j swap,other swap,other walk",
		"SELECT group_concat(name || ' ' || step) FROM _async_migration_quarantine": "j swap,other swap,other walk",
	} {
		var got string
		must(t, db.QueryRowContext(testContext(t), query).Scan(&got))
		wantEqual(t, got, want)
	}
	wantEqual(t, load(t, db, "j"), next(taken("j", "run")))
}

// A job that was forgotten under its run has lost its owner too.
func TestSaveWithoutRow(t *testing.T) {
	db := withTables(t)
	_, err := save(t, db, taken("j", "run"), noon)
	wantErr(t, err, chunkfill.ErrLostOwner)
}

// A rolled back batch takes its checkpoint with it.
func TestSaveIsPartOfTheTransaction(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	broken := errors.New("the batch failed")
	err := inTx(t, db, func(tx *sql.Tx) error {
		if _, err := save(t, tx, worked(c), noon); err != nil {
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
	must(t, record.TakeTx(testContext(t), db, c, noon))
	tuning := chunkfill.Tuning{TargetHold: 500 * time.Microsecond, MaxRate: 1234.5}
	steps := []struct {
		ask  func() error
		want chunkfill.Request
	}{
		{func() error { return nil }, chunkfill.Request{}},
		{func() error { return record.Tune(testContext(t), db, "j", tuning) }, chunkfill.Request{Tuning: tuning}},
		{func() error { return record.Ask(testContext(t), db, "j", chunkfill.Pause, "ann", "lunch") },
			chunkfill.Request{Control: chunkfill.Pause, By: "ann", Reason: "lunch", Tuning: tuning}},
		{func() error { return record.Ask(testContext(t), db, "j", chunkfill.Cancel, "bob", "wrong job") },
			chunkfill.Request{Control: chunkfill.Cancel, By: "bob", Reason: "wrong job", Tuning: tuning}},
		{func() error { return record.Ask(testContext(t), db, "j", chunkfill.NoControl, "", "") },
			chunkfill.Request{Tuning: tuning}},
		{func() error { return record.Tune(testContext(t), db, "j", chunkfill.Tuning{MaxRate: -1}) },
			chunkfill.Request{Tuning: chunkfill.Tuning{MaxRate: -1}}},
	}
	for i, step := range steps {
		must(t, step.ask())
		got, err := save(t, db, c, noon)
		must(t, err)
		if got != step.want {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
		if got, err := record.SaveRangeTx(testContext(t), db, "j", c.RangeRecord, noon); got != step.want || err != nil {
			t.Errorf("step %d, with a batch: %+v, %v, want %+v", i, got, err, step.want)
		}
		wantEqual(t, load(t, db, "j").Request, step.want)
	}
}

func TestSetPhase(t *testing.T) {
	db := withTables(t)
	want := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, want, noon))
	must(t, record.SetPhase(testContext(t), db, "j", chunkfill.Cancelled))
	want.Phase, want.Reason = chunkfill.Cancelled, ""
	wantEqual(t, load(t, db, "j"), want)
}

// Changes of one job leave the others alone, and of an unknown one are refused.
func TestChangesOfAnotherJob(t *testing.T) {
	db := withTables(t)
	other := taken("other", "run")
	must(t, record.TakeTx(testContext(t), db, other, noon))
	must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
	must(t, record.SetPhase(testContext(t), db, "j", chunkfill.Done))
	must(t, record.Ask(testContext(t), db, "j", chunkfill.Pause, "ann", ""))
	wantEqual(t, load(t, db, "other"), other)
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, chunkfill.ErrUnknownJob)
	}
}

func unknownJob(ctx context.Context, db *sql.DB) []error {
	_, err := record.Load(ctx, db, "nobody")
	return []error{
		err,
		record.Ask(ctx, db, "nobody", chunkfill.Pause, "", ""),
		record.Tune(ctx, db, "nobody", chunkfill.Tuning{MaxRate: 1}),
		record.SetPhase(ctx, db, "nobody", chunkfill.Done),
	}
}

// Planted and caught: a zero that reads as a value, a lifted cap as a negative one.
func TestTuningInWords(t *testing.T) {
	for want, tuning := range map[string]chunkfill.Tuning{
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

// between is a database in which something happens before one of its reads.
type between struct {
	*sql.DB
	read string // part of its text
	do   func()
}

func (b between) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if strings.Contains(query, b.read) {
		b.do()
	}
	return b.DB.QueryRowContext(ctx, query, args...)
}

// TestBegunMeanwhile: a job that begins while it is looked for is not known yet, and not
// damaged. Planted and caught: its record and those of its rows looked for in two reads.
func TestBegunMeanwhile(t *testing.T) {
	db := withTables(t)
	q := between{db, "EXISTS (SELECT 1 FROM main._async_migration_ranges", func() {
		must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
	}}
	_, err := record.Load(testContext(t), q, "j")
	wantErr(t, err, chunkfill.ErrUnknownJob)
	load(t, db, "j")
}
