package checkpoint_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
)

func TestEventsAreTheLatestOldestFirst(t *testing.T) {
	db := withTables(t)
	var want []checkpoint.Event
	for i := range 5 {
		e := checkpoint.Event{At: noon.Add(time.Duration(i) * time.Second), Event: fmt.Sprint("event ", i), By: "ann", Detail: "why"}
		want = append(want, e)
		must(t, checkpoint.AddEvent(testContext(t), db, "j", e))
		must(t, checkpoint.AddEvent(testContext(t), db, "other", checkpoint.Event{At: noon, Event: "noise"}))
	}
	got, err := checkpoint.Events(testContext(t), db, "j", 3)
	must(t, err)
	wantEqual(t, got, want[2:])
}

// The cap is each job's own: a busy one does not push out the events of another.
// Planted and caught: the DELETE without "WHERE name = ?1", and OFFSET ?2 - 1.
func TestEventsAreCapped(t *testing.T) {
	db := withTables(t)
	must(t, checkpoint.AddEvent(testContext(t), db, "quiet", checkpoint.Event{At: noon, Event: "started"}))
	const all = checkpoint.MaxEvents + 25
	tx, err := db.BeginTx(testContext(t), nil)
	must(t, err)
	for i := range all {
		must(t, checkpoint.AddEvent(testContext(t), tx, "busy", checkpoint.Event{At: noon, Event: fmt.Sprint(i)}))
	}
	must(t, tx.Commit())

	got, err := checkpoint.Events(testContext(t), db, "busy", 10*all)
	must(t, err)
	if len(got) != checkpoint.MaxEvents || got[0].Event != "25" || got[len(got)-1].Event != fmt.Sprint(all-1) {
		t.Errorf("%d events are kept, from %q on", len(got), got[0].Event)
	}
	quiet, err := checkpoint.Events(testContext(t), db, "quiet", 10)
	must(t, err)
	wantEqual(t, len(quiet), 1)
}

// Planted and caught: a conflict that does nothing instead of counting.
func TestQuarantineCountsAttempts(t *testing.T) {
	db := withTables(t)
	for i, reason := range []string{"bad hex", "bad hex", "too long"} {
		must(t, checkpoint.QuarantineTx(testContext(t), db, "j", "k2", reason, noon.Add(time.Duration(i)*time.Second)))
	}
	must(t, checkpoint.QuarantineTx(testContext(t), db, "j", "k1", "bad hex", noon))
	must(t, checkpoint.QuarantineTx(testContext(t), db, "other", "k2", "bad hex", noon))
	got, err := checkpoint.Quarantine(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, got, []checkpoint.BadRow{
		{Key: "k1", Error: "bad hex", Attempts: 1, At: noon},
		{Key: "k2", Error: "too long", Attempts: 3, At: noon.Add(2 * time.Second)},
	})
}

func TestReleaseCountsInTheCheckpoint(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, checkpoint.Take(testContext(t), db, c, noon))
	c.Quarantined, c.Changed = 2, 5
	_, err := checkpoint.SaveTx(testContext(t), db, c, noon)
	must(t, err)
	for _, key := range []string{"k1", "k2"} {
		must(t, checkpoint.QuarantineTx(testContext(t), db, "j", key, "bad", noon))
		must(t, checkpoint.QuarantineTx(testContext(t), db, "other", key, "bad", noon))
	}

	must(t, checkpoint.ReleaseTx(testContext(t), db, "j", "k1", 1))
	c.Quarantined, c.Changed = 1, 6
	wantEqual(t, load(t, db, "j"), c)
	got, err := checkpoint.Quarantine(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, got, []checkpoint.BadRow{{Key: "k2", Error: "bad", Attempts: 1, At: noon}})
	other, err := checkpoint.Quarantine(testContext(t), db, "other")
	must(t, err)
	wantEqual(t, len(other), 2)
}

func sample(second int) checkpoint.Sample {
	return checkpoint.Sample{
		At: noon.Add(time.Duration(second) * time.Second), Rows: int64(second), BatchRows: 10,
		Hold: 2 * time.Millisecond, Wait: 3 * time.Microsecond, WALBytes: 4096,
	}
}

// The ring keeps its last ten minutes in order of time, wherever the clock stands
// in it, and a second sample of one second replaces the first.
// Planted and caught: ORDER BY slot.
func TestSamplesAreARing(t *testing.T) {
	db := withTables(t)
	const all = checkpoint.MaxSamples + 50
	var want []checkpoint.Sample
	tx, err := db.BeginTx(testContext(t), nil)
	must(t, err)
	for i := range all {
		s := sample(i)
		must(t, checkpoint.AddSample(testContext(t), tx, "j", s))
		s.At = s.At.Add(100 * time.Millisecond)
		must(t, checkpoint.AddSample(testContext(t), tx, "j", s))
		want = append(want, s)
	}
	must(t, checkpoint.AddSample(testContext(t), tx, "other", sample(0)))
	must(t, tx.Commit())
	got, err := checkpoint.Samples(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, got, want[50:])
}

func TestForgetRemovesOneJobAlone(t *testing.T) {
	db := withTables(t)
	for _, name := range []string{"j", "other"} {
		must(t, checkpoint.Take(testContext(t), db, taken(name, "run"), noon))
		must(t, checkpoint.AddEvent(testContext(t), db, name, checkpoint.Event{At: noon, Event: "started"}))
		must(t, checkpoint.QuarantineTx(testContext(t), db, name, "k", "bad", noon))
		must(t, checkpoint.AddSample(testContext(t), db, name, sample(0)))
	}
	must(t, checkpoint.ForgetTx(testContext(t), db, "j"))
	_, err := checkpoint.Load(testContext(t), db, "j")
	wantErr(t, err, checkpoint.ErrUnknown)
	for _, table := range []string{"checkpoints", "events", "quarantine", "samples"} {
		var names string
		must(t, db.QueryRowContext(testContext(t), "SELECT group_concat(name) FROM _async_migration_"+table).Scan(&names))
		if names != "other" {
			t.Errorf("%s: left is %q", table, names)
		}
	}
}

// Damage in the records is named as such, as in the checkpoint.
func TestUnreadableRecords(t *testing.T) {
	db := withTables(t)
	must(t, checkpoint.AddEvent(testContext(t), db, "j", checkpoint.Event{At: noon, Event: "started"}))
	must(t, checkpoint.QuarantineTx(testContext(t), db, "j", "k", "bad", noon))
	must(t, checkpoint.AddSample(testContext(t), db, "j", sample(0)))
	for _, table := range []string{"events", "quarantine", "samples"} {
		exec(t, db, "UPDATE _async_migration_"+table+" SET at = 'noon'")
	}
	_, err := checkpoint.Events(testContext(t), db, "j", 1)
	wantErr(t, err, checkpoint.ErrUnreadable)
	_, err = checkpoint.Quarantine(testContext(t), db, "j")
	wantErr(t, err, checkpoint.ErrUnreadable)
	_, err = checkpoint.Samples(testContext(t), db, "j")
	wantErr(t, err, checkpoint.ErrUnreadable)
}
