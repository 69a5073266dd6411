package record_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// damaged are the columns that a fuzzer writes to, by table, and the version of it.
var damaged = []struct {
	version        int
	table, columns string
}{
	{1, "checkpoints", "run_id fingerprint definition table_name owner_pid owner_host owner_since phase reason error lower_bound upper_bound cursor " +
		"pass total_rows rows_scanned rows_changed rows_quarantined rows_left batches batch_rows working_us throttled_us paused_us " +
		"control control_by control_reason target_hold_us max_rate created_at updated_at"},
	{2, "events", "at event by detail"},
	{2, "quarantine", "step key error attempts at"},
	{2, "samples", "at rows_scanned batch_rows hold_us wait_us wal_bytes"},
	{2, "schema", "version"},
	{2, "jobs", "fingerprint definition table_name steps step range pass direction phase error rows_left paused_us takebacks pins " +
		"control control_by control_reason target_hold_us max_rate created_at updated_at"},
	{2, "ranges", "step entered reason run_id owner_pid owner_host owner_since lower_bound upper_bound cursor total_rows " +
		"rows_scanned rows_changed rows_quarantined batches batch_rows working_us throttled_us updated_at"},
	{1, "quarantine", "key error attempts at"},
	{1, "schema", "version"},
}

// begun writes a job with all that is kept of one, into tables of a version.
func begun(t testing.TB, tx *sql.Tx, version int) {
	t.Helper()
	if version == 1 {
		must(t, fillVersion1(testContext(t), tx, "the job"))
		return
	}
	must(t, record.UpgradeTx(testContext(t), tx))
	must(t, record.TakeTx(testContext(t), tx, taken("the job", "run"), noon))
	must(t, record.AddEvent(testContext(t), tx, "the job", chunkfill.Event{At: noon, Event: "started"}))
	must(t, record.QuarantineTx(testContext(t), tx, "the job", "walk", "key", "error", noon))
	must(t, record.AddSample(testContext(t), tx, "the job", chunkfill.Sample{At: noon}))
}

// FuzzDamagedRow: whatever stands in a column, of any storage class, in tables of
// either version, reading it back is no panic. What cannot be understood is ErrUnreadable, or, for records,
// an error that names the job; never an unknown job. Planted and caught: the name
// left out of what Load says, as it was.
func FuzzDamagedRow(f *testing.F) {
	for table, d := range damaged {
		for column := range strings.Fields(d.columns) {
			for kind, value := range map[string]string{"TEXT": "yesterday", "BLOB": "\x00\xff", "INTEGER": "-1", "REAL": "9e999"} {
				f.Add(uint(table), uint(column), kind, value)
			}
		}
	}
	db := open(f)
	f.Fuzz(func(t *testing.T, table, column uint, kind, value string) {
		d := damaged[table%uint(len(damaged))]
		columns := strings.Fields(d.columns)
		if kind != "TEXT" && kind != "BLOB" && kind != "INTEGER" && kind != "REAL" {
			return
		}
		tx, err := db.BeginTx(testContext(t), nil)
		must(t, err)
		defer func() { must(t, tx.Rollback()) }()
		begun(t, tx, d.version)
		_, err = tx.ExecContext(testContext(t), fmt.Sprintf("UPDATE _async_migration_%s SET %s = CAST(? AS %s)", d.table, columns[column%uint(len(columns))], kind), value)
		if err != nil {
			return // a constraint keeps it out
		}
		_, err = record.Load(testContext(t), tx, "the job")
		if err != nil && !errors.Is(err, chunkfill.ErrUnreadable) && !errors.Is(err, chunkfill.ErrNewer) || errors.Is(err, chunkfill.ErrUnknownJob) {
			t.Errorf("%s %q: %v", kind, value, err)
		}
		if d.table == "checkpoints" || d.table == "jobs" || d.table == "ranges" {
			wantNamed(t, err)
		}
		if err == nil && d.version == 1 {
			// What could be read is read after an upgrade, too.
			if err := record.UpgradeTx(testContext(t), tx); err == nil {
				_, err = record.Load(testContext(t), tx, "the job")
				must(t, err)
			}
		}
		_, err = record.Events(testContext(t), tx, "the job", 10)
		wantNamed(t, err)
		_, err = record.Quarantine(testContext(t), tx, "the job")
		wantNamed(t, err)
		_, err = record.Samples(testContext(t), tx, "the job")
		wantNamed(t, err)
	})
}

func wantNamed(t *testing.T, err error) {
	t.Helper()
	if err != nil && !strings.Contains(err.Error(), "the job") {
		t.Errorf("an error that does not say of what: %v", err)
	}
}
