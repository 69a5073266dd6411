package record_test

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// back2 makes tables of version 2 of those of this version.
const back2 = `DROP TABLE _async_migration_requests; DROP TABLE _async_migration_pace; DROP TABLE _async_migration_images;
	UPDATE _async_migration_schema SET version = 2`

// A request is there until it is taken, once, and a later one of its kind takes its place.
// Planted and caught: a second row for a second request; a take that does not say whether it
// was there.
func TestRequests(t *testing.T) {
	db := withTables(t)
	first := record.Pending{Name: "j", Request: record.RequestRetry, By: "ann", Reason: "mended", At: noon}
	later := record.Pending{Name: "j", Request: record.RequestRetry, By: "bob", Reason: "now", At: noon.Add(time.Hour)}
	all := record.Pending{Request: record.RequestPause, By: "cid", Reason: "lunch", At: noon.Add(time.Minute)}
	for _, p := range []record.Pending{first, later, all} {
		must(t, record.PutRequest(testContext(t), db, p))
	}

	got, err := record.Requests(testContext(t), db)
	must(t, err)
	wantEqual(t, got, []record.Pending{all, later})
	one, found, err := record.FindRequest(testContext(t), db, "j", record.RequestRetry)
	must(t, err)
	wantEqual(t, one, later)
	wantEqual(t, found, true)
	for _, there := range []bool{true, false} {
		was, err := record.DropRequest(testContext(t), db, "j", record.RequestRetry)
		must(t, err)
		wantEqual(t, was, there)
	}
	_, found, err = record.FindRequest(testContext(t), db, "j", record.RequestRetry)
	must(t, err)
	wantEqual(t, found, false)
}

// Where the tables have no place for a request it is refused, nothing is written, and none is
// there.
func TestRequestsOfOlderTables(t *testing.T) {
	for _, c := range []struct {
		make string
		want error
	}{{"", chunkfill.ErrUnknownJob}, {back2, chunkfill.ErrOlderTables}} {
		db := open(t)
		if c.make != "" {
			db = withTables(t)
			must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
			exec(t, db, c.make)
		}
		before := schema(t, db)

		wantErr(t, record.PutRequest(testContext(t), db, record.Pending{Request: record.RequestPause, At: noon}), c.want)
		was, err := record.DropRequest(testContext(t), db, "", record.RequestPause)
		must(t, err)
		wantEqual(t, was, false)
		all, err := record.Requests(testContext(t), db)
		must(t, err)
		wantEqual(t, len(all), 0)
		wantEqual(t, schema(t, db), before)
	}
}

// A job of tables of version 2 is read, and taken back without a run: nothing is asked there
// of all jobs. Planted and caught: the table of requests named whatever the version.
func TestVersion2IsRead(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
	must(t, record.Ask(testContext(t), db, "j", chunkfill.Pause, "ann", "lunch"))
	before := load(t, db, "j")
	exec(t, db, back2)

	wantEqual(t, load(t, db, "j"), before)
	request, err := save(t, db, worked(before), noon)
	must(t, err)
	wantEqual(t, request, before.Request)
}

// What is asked of all jobs is asked of each that has not ended and of which nothing else is
// asked, in every way to read it. Planted and caught: a job that is done and asked to pause;
// a pause of all that hides a job's own cancel.
func TestAskedOfAll(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	must(t, record.Tune(testContext(t), db, "j", chunkfill.Tuning{MaxRate: 7}))
	must(t, record.PutRequest(testContext(t), db, record.Pending{Request: record.RequestPause, By: "cid", Reason: "lunch", At: noon}))
	tuning := chunkfill.Tuning{MaxRate: 7}
	all := chunkfill.Request{Control: chunkfill.Pause, By: "cid", Reason: "lunch", All: true, Tuning: tuning}
	own := chunkfill.Request{Control: chunkfill.Cancel, By: "ann", Reason: "wrong", Tuning: tuning}

	check := func(want chunkfill.Request) {
		t.Helper()
		wantEqual(t, load(t, db, "j").Request, want)
		asked, err := record.Asked(testContext(t), db, "j")
		must(t, err)
		wantEqual(t, asked, want)
	}
	check(all)
	must(t, record.Ask(testContext(t), db, "j", own.Control, own.By, own.Reason))
	check(own)
	must(t, record.Ask(testContext(t), db, "j", chunkfill.NoControl, "ann", ""))
	check(all)
	must(t, record.SetPhase(testContext(t), db, "j", chunkfill.Cancelled))
	check(chunkfill.Request{By: "ann", Tuning: tuning})
}

// A downgrade loses no pause: of all jobs it becomes one of each that has not ended and of
// which nothing else is asked. Planted and caught: the pause left out.
func TestDowngradeKeepsThePauseOfAll(t *testing.T) {
	db := withVersion1(t, "j", "other", "over")
	must(t, record.UpgradeTx(testContext(t), db))
	must(t, record.Ask(testContext(t), db, "j", chunkfill.NoControl, "ann", "go"))
	must(t, record.Ask(testContext(t), db, "other", chunkfill.Cancel, "ann", "wrong"))
	must(t, record.Ask(testContext(t), db, "over", chunkfill.NoControl, "ann", ""))
	must(t, record.SetPhase(testContext(t), db, "over", chunkfill.Done))
	must(t, record.PutRequest(testContext(t), db, record.Pending{Request: record.RequestPause, By: "cid", Reason: "lunch", At: noon}))
	must(t, downgrade(t, db))

	for name, want := range map[string]chunkfill.Request{
		"j": {Control: chunkfill.Pause, By: "cid", Reason: "lunch"}, "other": {Control: chunkfill.Cancel, By: "ann", Reason: "wrong"}, "over": {By: "ann"},
	} {
		got := load(t, db, name).Request
		got.Tuning = chunkfill.Tuning{}
		wantEqual(t, got, want)
	}
}

// A change of state of a job whose row is gone is not taken for saved.
func TestSaveOfALostJob(t *testing.T) {
	db := withTables(t)
	c := taken("j", "run")
	must(t, record.TakeTx(testContext(t), db, c, noon))
	exec(t, db, "DELETE FROM _async_migration_jobs")
	tx, err := db.Begin()
	must(t, err)
	_, err = record.SaveTx(testContext(t), tx, c.RangeRecord, worked(c), noon)
	wantErr(t, err, chunkfill.ErrLostOwner)
	must(t, tx.Rollback())
}

// The answer to a request is an event after it, and not one of before. Planted and caught: any
// event of that name.
func TestEventAfter(t *testing.T) {
	db := withTables(t)
	add := func(name, event string) int64 {
		t.Helper()
		must(t, record.AddEvent(testContext(t), db, name, chunkfill.Event{At: noon, Event: event, By: "ann", Detail: event + " of " + name}))
		id, err := record.LastEvent(testContext(t), db, name)
		must(t, err)
		return id
	}
	add("j", "verified")
	asked := add("j", "verify asked")
	add("other", "verified")
	_, found, err := record.EventAfter(testContext(t), db, "j", asked, "verified", "verify failed")
	must(t, err)
	wantEqual(t, found, false)

	add("j", "verifying")
	add("j", "verify failed")
	got, found, err := record.EventAfter(testContext(t), db, "j", asked, "verified", "verify failed")
	must(t, err)
	wantEqual(t, found, true)
	wantEqual(t, got, chunkfill.Event{Event: "verify failed", By: "ann", Detail: "verify failed of j"})
}
