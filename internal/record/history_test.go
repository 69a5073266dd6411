package record_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

func TestEventsAreTheLatestOldestFirst(t *testing.T) {
	db := withTables(t)
	var want []chunkfill.Event
	for i := range 5 {
		e := chunkfill.Event{At: noon.Add(time.Duration(i) * time.Second), Event: fmt.Sprint("event ", i), By: "ann", Detail: "why"}
		want = append(want, e)
		must(t, record.AddEvent(testContext(t), db, "j", e))
		must(t, record.AddEvent(testContext(t), db, "other", chunkfill.Event{At: noon, Event: "noise"}))
	}
	got, err := record.Events(testContext(t), db, "j", 3)
	must(t, err)
	wantEqual(t, got, want[2:])
}

// The cap is each job's own: a busy one does not push out the events of another.
// Planted and caught: the DELETE without "WHERE name = ?1", and OFFSET ?2 - 1.
func TestEventsAreCapped(t *testing.T) {
	db := withTables(t)
	must(t, record.AddEvent(testContext(t), db, "quiet", chunkfill.Event{At: noon, Event: "started"}))
	const all = record.MaxEvents + 25
	tx, err := db.BeginTx(testContext(t), nil)
	must(t, err)
	for i := range all {
		must(t, record.AddEvent(testContext(t), tx, "busy", chunkfill.Event{At: noon, Event: fmt.Sprint(i)}))
	}
	must(t, tx.Commit())

	got, err := record.Events(testContext(t), db, "busy", 10*all)
	must(t, err)
	if len(got) != record.MaxEvents || got[0].Event != "25" || got[len(got)-1].Event != fmt.Sprint(all-1) {
		t.Errorf("%d events are kept, from %q on", len(got), got[0].Event)
	}
	quiet, err := record.Events(testContext(t), db, "quiet", 10)
	must(t, err)
	wantEqual(t, len(quiet), 1)
}

// Planted and caught: a conflict that does nothing instead of counting.
func TestQuarantineCountsAttempts(t *testing.T) {
	db := withTables(t)
	for i, reason := range []string{"bad hex", "bad hex", "too long"} {
		must(t, record.QuarantineTx(testContext(t), db, "j", "walk", "k2", reason, noon.Add(time.Duration(i)*time.Second)))
	}
	must(t, record.QuarantineTx(testContext(t), db, "j", "walk", "k1", "bad hex", noon))
	must(t, record.QuarantineTx(testContext(t), db, "other", "walk", "k2", "bad hex", noon))
	got, err := record.Quarantine(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, got, []chunkfill.BadRow{
		{Step: "walk", Key: "k1", Error: "bad hex", Attempts: 1, At: noon},
		{Step: "walk", Key: "k2", Error: "too long", Attempts: 3, At: noon.Add(2 * time.Second)},
	})
}

func TestReleaseCountsInTheCheckpoint(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	c.Quarantined, c.Changed = 2, 5
	_, err := save(t, db, c, noon)
	must(t, err)
	for _, key := range []string{"k1", "k2"} {
		must(t, record.QuarantineTx(testContext(t), db, "j", "walk", key, "bad", noon))
		must(t, record.QuarantineTx(testContext(t), db, "other", "walk", key, "bad", noon))
	}

	must(t, record.ReleaseTx(testContext(t), db, "j", "walk", "k1", 1))
	c.Quarantined, c.Changed = 1, 6
	wantEqual(t, load(t, db, "j"), c)
	got, err := record.Quarantine(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, got, []chunkfill.BadRow{{Step: "walk", Key: "k2", Error: "bad", Attempts: 1, At: noon}})
	other, err := record.Quarantine(testContext(t), db, "other")
	must(t, err)
	wantEqual(t, len(other), 2)
}

func sample(second int) chunkfill.Sample {
	return chunkfill.Sample{
		At: noon.Add(time.Duration(second) * time.Second), Rows: int64(second), BatchRows: 10,
		Hold: 2 * time.Millisecond, Wait: 3 * time.Microsecond, WALBytes: 4096,
	}
}

// The ring keeps its last ten minutes in order of time, wherever the clock stands
// in it, and a second sample of one second replaces the first.
// Planted and caught: ORDER BY slot.
func TestSamplesAreARing(t *testing.T) {
	db := withTables(t)
	const all = record.MaxSamples + 50
	var want []chunkfill.Sample
	tx, err := db.BeginTx(testContext(t), nil)
	must(t, err)
	for i := range all {
		s := sample(i)
		must(t, record.AddSample(testContext(t), tx, "j", s))
		s.At = s.At.Add(100 * time.Millisecond)
		must(t, record.AddSample(testContext(t), tx, "j", s))
		want = append(want, s)
	}
	must(t, record.AddSample(testContext(t), tx, "other", sample(0)))
	must(t, tx.Commit())
	got, err := record.Samples(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, got, want[50:])
}

func TestForgetRemovesOneJobAlone(t *testing.T) {
	db := withTables(t)
	for _, name := range []string{"j", "other"} {
		must(t, record.TakeTx(testContext(t), db, taken(name, "run"), noon))
		must(t, record.AddEvent(testContext(t), db, name, chunkfill.Event{At: noon, Event: "started"}))
		must(t, record.QuarantineTx(testContext(t), db, name, "walk", "k", "bad", noon))
		must(t, record.AddSample(testContext(t), db, name, sample(0)))
	}
	must(t, record.ForgetTx(testContext(t), db, "j"))
	_, err := record.Load(testContext(t), db, "j")
	wantErr(t, err, chunkfill.ErrUnknownJob)
	for _, table := range []string{"jobs", "ranges", "events", "quarantine", "samples"} {
		var names string
		must(t, db.QueryRowContext(testContext(t), "SELECT group_concat(name) FROM _async_migration_"+table).Scan(&names))
		if names != "other" {
			t.Errorf("%s: left is %q", table, names)
		}
	}
}

// Damage in the records is named as such, as in the record.
func TestUnreadableRecords(t *testing.T) {
	db := withTables(t)
	must(t, record.AddEvent(testContext(t), db, "j", chunkfill.Event{At: noon, Event: "started"}))
	must(t, record.QuarantineTx(testContext(t), db, "j", "walk", "k", "bad", noon))
	must(t, record.AddSample(testContext(t), db, "j", sample(0)))
	for _, table := range []string{"events", "quarantine", "samples"} {
		exec(t, db, "UPDATE _async_migration_"+table+" SET at = 'noon'")
	}
	_, err := record.Events(testContext(t), db, "j", 1)
	wantErr(t, err, chunkfill.ErrUnreadable)
	_, err = record.Quarantine(testContext(t), db, "j")
	wantErr(t, err, chunkfill.ErrUnreadable)
	_, err = record.Samples(testContext(t), db, "j")
	wantErr(t, err, chunkfill.ErrUnreadable)
}
