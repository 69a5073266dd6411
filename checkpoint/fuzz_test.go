package checkpoint_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// damaged are the columns that a fuzzer writes to, by table.
var damaged = []struct{ table, columns string }{
	{"checkpoints", "run_id fingerprint definition table_name owner_pid owner_host owner_since phase reason error lower_bound upper_bound cursor " +
		"pass total_rows rows_scanned rows_changed rows_quarantined rows_left batches batch_rows working_us throttled_us paused_us " +
		"control control_by control_reason target_hold_us max_rate created_at updated_at"},
	{"events", "at event by detail"},
	{"quarantine", "key error attempts at"},
	{"samples", "at rows_scanned batch_rows hold_us wait_us wal_bytes"},
	{"schema", "version"},
}

// FuzzDamagedRow: whatever stands in a column, of any storage class, reading it
// back is no panic. What cannot be understood is ErrUnreadable, or, for records,
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
	db := withTables(f)
	f.Fuzz(func(t *testing.T, table, column uint, kind, value string) {
		d := damaged[table%uint(len(damaged))]
		columns := strings.Fields(d.columns)
		if kind != "TEXT" && kind != "BLOB" && kind != "INTEGER" && kind != "REAL" {
			return
		}
		tx, err := db.BeginTx(testContext(t), nil)
		must(t, err)
		defer func() { must(t, tx.Rollback()) }()
		must(t, checkpoint.Take(testContext(t), tx, taken("the job", "run"), noon))
		must(t, checkpoint.AddEvent(testContext(t), tx, "the job", checkpoint.Event{At: noon, Event: "started"}))
		must(t, checkpoint.QuarantineTx(testContext(t), tx, "the job", "key", "error", noon))
		must(t, checkpoint.AddSample(testContext(t), tx, "the job", checkpoint.Sample{At: noon}))
		_, err = tx.ExecContext(testContext(t), fmt.Sprintf("UPDATE _async_migration_%s SET %s = CAST(? AS %s)", d.table, columns[column%uint(len(columns))], kind), value)
		if err != nil {
			return // a constraint keeps it out
		}
		_, err = checkpoint.Load(testContext(t), tx, "the job")
		if err != nil && !errors.Is(err, checkpoint.ErrUnreadable) && !errors.Is(err, checkpoint.ErrNewer) || errors.Is(err, checkpoint.ErrUnknown) {
			t.Errorf("%s %q: %v", kind, value, err)
		}
		if d.table == "checkpoints" {
			wantNamed(t, err)
		}
		_, err = checkpoint.Events(testContext(t), tx, "the job", 10)
		wantNamed(t, err)
		_, err = checkpoint.Quarantine(testContext(t), tx, "the job")
		wantNamed(t, err)
		_, err = checkpoint.Samples(testContext(t), tx, "the job")
		wantNamed(t, err)
	})
}

func wantNamed(t *testing.T, err error) {
	t.Helper()
	if err != nil && !strings.Contains(err.Error(), "the job") {
		t.Errorf("an error that does not say of what: %v", err)
	}
}
