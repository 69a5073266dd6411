package record_test

import (
	"context"
	"database/sql"
	_ "embed"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// version1 makes the tables as the version before did. It is never edited.
//
//go:embed testdata/version1.sql
var version1 string

// fillVersion1 makes tables of version 1 with a job of which every column differs.
func fillVersion1(ctx context.Context, q record.Querier, name string) error {
	for _, statement := range []string{version1,
		`INSERT INTO _async_migration_checkpoints VALUES ('` + name + `', 'run', 'fp', 'UPDATE t', 't', 7, 'h', '2026-01-02T11:59:59.345Z',
			'waiting', 'the window is closed', 'an error', 'lower', 'upper', 'cursor', 2, 11, 21, 22, 23, 24, 25, 26, 31, 32000, 33000000,
			'pause', 'ann', 'lunch', 500, 1234.5, '2026-01-02T12:00:00.345Z', '2026-01-02T12:00:01.345Z')`,
		`INSERT INTO _async_migration_quarantine VALUES ('` + name + `', 'key', 'error', 3, '2026-01-02T12:00:00.345Z')`,
		`INSERT INTO _async_migration_events VALUES (NULL, '` + name + `', '2026-01-02T12:00:00.345Z', 'started', 'ann', '')`,
		`INSERT INTO _async_migration_samples VALUES ('` + name + `', 1, '2026-01-02T12:00:00.345Z', 2, 3, 4, 5, 6)`,
	} {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// filled is that job.
func filled(name string) chunkfill.Checkpoint {
	return chunkfill.Checkpoint{
		JobRecord: chunkfill.JobRecord{
			Name: name, Fingerprint: "fp", Definition: "UPDATE t", Table: "t", Steps: []chunkfill.Step{}, Pass: 2,
			Phase: chunkfill.Waiting, Error: "an error", Left: 24, PausedFor: 33 * time.Second,
			Takebacks: []chunkfill.Takeback{}, Pins: map[string]string{},
			Request: chunkfill.Request{Control: chunkfill.Pause, By: "ann", Reason: "lunch",
				Tuning: chunkfill.Tuning{TargetHold: 500 * time.Microsecond, MaxRate: 1234.5}},
			CreatedAt: noon, UpdatedAt: noon.Add(time.Second),
		},
		RangeRecord: chunkfill.RangeRecord{
			Of: "walk", Entered: true, Reason: "the window is closed",
			RunID: "run", Owner: chunkfill.Owner{PID: 7, Host: "h", Since: noon.Add(-time.Second)},
			Lower: "lower", Upper: "upper", Cursor: "cursor", Total: 11,
			Rows: 21, Changed: 22, Quarantined: 23, Batches: 25, BatchRows: 26,
			Working: 31 * time.Microsecond, Throttled: 32 * time.Millisecond,
		},
	}
}

func withVersion1(t testing.TB, names ...string) *sql.DB {
	t.Helper()
	db := open(t)
	for i, name := range names {
		if i > 0 {
			must(t, addVersion1(testContext(t), db, names[0], name))
			continue
		}
		must(t, fillVersion1(testContext(t), db, name))
	}
	return db
}

// addVersion1 copies a job of version 1 under another name.
func addVersion1(ctx context.Context, db *sql.DB, from, to string) error {
	_, err := db.ExecContext(ctx, `CREATE TEMP TABLE one AS SELECT * FROM _async_migration_checkpoints WHERE name = '`+from+`';
		UPDATE one SET name = '`+to+`'; INSERT INTO _async_migration_checkpoints SELECT * FROM one; DROP TABLE one`)
	return err
}

// What the version before has stored is read before the upgrade and after it, and is the
// same. Planted and caught: working_us and throttled_us swapped in the upgrade, and in what
// reads version 1; rows_left left out of the upgrade.
func TestVersion1IsRead(t *testing.T) {
	db := withVersion1(t, "j", "other")
	for _, version := range []int{1, record.CurrentVersion} {
		if version == record.CurrentVersion {
			must(t, inTx(t, db, func(tx *sql.Tx) error { return record.UpgradeTx(testContext(t), tx) }))
		}
		got, err := record.Version(testContext(t), db)
		must(t, err)
		wantEqual(t, got, version)

		wantEqual(t, load(t, db, "j"), filled("j"))
		all, err := record.List(testContext(t), db)
		must(t, err)
		wantEqual(t, all, []chunkfill.Checkpoint{filled("j"), filled("other")})
		bad, err := record.Quarantine(testContext(t), db, "j")
		must(t, err)
		wantEqual(t, bad, []chunkfill.BadRow{{Step: "walk", Key: "key", Error: "error", Attempts: 3, At: noon}})
		events, err := record.Events(testContext(t), db, "j", 9)
		must(t, err)
		wantEqual(t, events, []chunkfill.Event{{At: noon, Event: "started", By: "ann"}})
		_, err = record.Load(testContext(t), db, "nobody")
		wantErr(t, err, chunkfill.ErrUnknownJob)
	}
}

// Whoever asks something of a job does so also where the tables are those of the version
// before, whose owner may run it, and upgrades nothing.
func TestVersion1IsAsked(t *testing.T) {
	db := withVersion1(t, "j", "other")
	before := schema(t, db)
	must(t, record.Ask(testContext(t), db, "j", chunkfill.Cancel, "bob", "wrong job"))
	must(t, record.Tune(testContext(t), db, "j", chunkfill.Tuning{MaxRate: -1}))
	must(t, record.SetPhase(testContext(t), db, "j", chunkfill.Cancelled))

	want := filled("j")
	want.Phase, want.Reason, want.Error = chunkfill.Cancelled, "", ""
	want.Request = chunkfill.Request{Control: chunkfill.Cancel, By: "bob", Reason: "wrong job", Tuning: chunkfill.Tuning{MaxRate: -1}}
	wantEqual(t, load(t, db, "j"), want)
	wantEqual(t, load(t, db, "other"), filled("other"))
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, chunkfill.ErrUnknownJob)
	}

	must(t, record.ForgetTx(testContext(t), db, "j"))
	_, err := record.Load(testContext(t), db, "j")
	wantErr(t, err, chunkfill.ErrUnknownJob)
	wantEqual(t, load(t, db, "other"), filled("other"))
	wantEqual(t, schema(t, db), before)
}

// The upgrade is whole or not at all, and what the version before keeps jobs in stays,
// empty: a run of it that is still alive finds no row to save.
// Planted and caught: an upgrade that leaves the row of the version before.
func TestUpgradeOfVersion1(t *testing.T) {
	db := withVersion1(t, "j")
	before := schema(t, db)
	err := inTx(t, db, func(tx *sql.Tx) error {
		must(t, record.UpgradeTx(testContext(t), tx))
		return context.Canceled
	})
	wantErr(t, err, context.Canceled)
	wantEqual(t, schema(t, db), before)
	wantEqual(t, load(t, db, "j"), filled("j"))

	must(t, inTx(t, db, func(tx *sql.Tx) error { return record.UpgradeTx(testContext(t), tx) }))
	must(t, inTx(t, db, func(tx *sql.Tx) error { return record.UpgradeTx(testContext(t), tx) })) // nothing left to do
	result, err := db.ExecContext(testContext(t), "UPDATE _async_migration_checkpoints SET batches = batches + 1")
	must(t, err)
	n, err := result.RowsAffected()
	must(t, err)
	wantEqual(t, n, int64(0))
	wantEqual(t, load(t, db, "j"), filled("j"))
}

// A job that the version before began goes on: its run takes it and saves.
func TestUpgradedJobGoesOn(t *testing.T) {
	db := withVersion1(t, "j")
	must(t, record.UpgradeTx(testContext(t), db))
	c := load(t, db, "j")
	c.RunID, c.Phase, c.Error = "run 2", chunkfill.Running, ""
	c.Steps, c.Step = []chunkfill.Step{{Name: "walk", Kind: chunkfill.Walk}}, "walk"
	must(t, record.TakeTx(testContext(t), db, c, noon))
	c.Cursor, c.Rows, c.Batches = "further", 31, c.Batches+1
	_, err := record.SaveRangeTx(testContext(t), db, "j", c.RangeRecord, noon.Add(time.Minute))
	must(t, err)
	c.UpdatedAt = noon.Add(time.Minute)
	wantEqual(t, load(t, db, "j"), c)
}

// A damaged record keeps no other job from its run or its upgrade. Planted and caught: the
// jobs that may still run, read whole.
func TestDamagedJobOfVersion1(t *testing.T) {
	db := withVersion1(t, "j", "other", "over")
	exec(t, db, "UPDATE _async_migration_checkpoints SET updated_at = 'yesterday' WHERE name = 'other'")
	exec(t, db, "UPDATE _async_migration_checkpoints SET phase = 'done' WHERE name = 'over'")
	names, err := record.MayRun(testContext(t), db)
	must(t, err)
	wantEqual(t, names, []string{"j", "other"})

	must(t, record.UpgradeTx(testContext(t), db))
	wantEqual(t, load(t, db, "j"), filled("j"))
	_, err = record.Load(testContext(t), db, "other")
	wantErr(t, err, chunkfill.ErrUnreadable)
}
