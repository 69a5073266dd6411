package torture_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

const (
	pendingAsync = "pending_async"
	done         = "done"
	failed       = "failed"

	earlierRows = 90 // of each table
)

// Killed on the way.
var leftOnTheWay = []leftBehind{
	{"registered", oldInc, pendingAsync, checkpoint.Registered, "", 0, 0, goesOn},
	{"taken", oldInc, pendingAsync, checkpoint.Running, "", 0, 0, goesOn},
	{"walking", oldInc, pendingAsync, checkpoint.Running, "", 51, 0, goesOn},
	{"in-a-batch", oldInc, pendingAsync, checkpoint.Running, "", 31, 0, goesOn},
	{"at-the-bound", oldWords, pendingAsync, checkpoint.Running, "", 90, 0, goesOn},
	{"verifying", oldWords, pendingAsync, checkpoint.Verifying, "", 90, 0, goesOn},
	{"verified", oldWords, pendingAsync, checkpoint.Verifying, "", 90, 0, secondPass},
	{"second-pass", oldWords, pendingAsync, checkpoint.Running, "", 130, 0, secondPass},
	{"bisection", oldInc, pendingAsync, checkpoint.Running, "", 65, 1, func(u *upgraded) {
		u.wantErr(u.run(), nil)
		u.wantRan(earlierRows - 65)
		s := u.wantEnd(done, checkpoint.Done)
		u.want("SELECT group_concat(id || ' ' || n) FROM items WHERE n <> 1", "60 7,210 7")
		if len(s.Quarantine) != 2 || s.Quarantine[0] != u.was.Quarantine[0] || s.Quarantine[1].Key != `["210"]` {
			u.t.Errorf("quarantine %v", s.Quarantine)
		}
	}},
	{"empty", oldWords, pendingAsync, checkpoint.Running, "", 0, 0, func(u *upgraded) {
		u.wantErr(u.run(), nil)
		u.wantRan(0)
		u.wantEnd(done, checkpoint.Done)
	}},
	{"empty-done", oldWords, done, checkpoint.Done, "", 0, 0, staysDone},
}

// goesOn: the job is done, from where it stood, and each row once.
func goesOn(u *upgraded) {
	u.t.Helper()
	u.wantErr(u.run(), nil)
	u.wantRan(earlierRows - int(u.was.Rows))
	s := u.wantEnd(done, checkpoint.Done)
	u.want("SELECT count(*) FROM items WHERE n = 1", fmt.Sprint(earlierRows-u.quarantined))
	u.want("SELECT count(*) FROM items WHERE n = 7", fmt.Sprint(u.quarantined))
	if s.Rows != earlierRows || s.Changed != int64(earlierRows-u.quarantined) {
		u.t.Errorf("%d rows scanned, %d changed", s.Rows, s.Changed)
	}
	if !slices.Equal(s.Quarantine, u.was.Quarantine) {
		u.t.Errorf("the quarantine was %v and is %v", u.was.Quarantine, s.Quarantine)
	}
	if s.Upper != u.was.Upper && u.was.Upper != "" {
		u.t.Errorf("the bound was %s and is %s", u.was.Upper, s.Upper)
	}
}

// secondPass: 29 rows have come behind the cursor of the first.
func secondPass(u *upgraded) {
	u.wantErr(u.run(), nil)
	s := u.wantEnd(done, checkpoint.Done)
	u.want("SELECT count(*) || ' ' || sum(n = 1 AND word = 'new') FROM items", "119 119")
	if s.Changed != 119 || s.Pass != 2 {
		u.t.Errorf("%d rows changed, in pass %d", s.Changed, s.Pass)
	}
	u.wantRan(119 - int(u.was.Rows)%earlierRows) // of this pass
}

// What somebody wanted of the job.
var leftAsked = []leftBehind{
	{"paused", oldInc, pendingAsync, checkpoint.Paused, checkpoint.Pause, 71, 0, staysPaused},
	{"paused-interrupted", oldInc, pendingAsync, checkpoint.Interrupted, checkpoint.Pause, 71, 0, staysPaused},
	{"pause-asked", oldInc, pendingAsync, checkpoint.Running, checkpoint.Pause, 51, 0, staysPaused},
	{"cancel-asked", oldInc, pendingAsync, checkpoint.Running, checkpoint.Cancel, 51, 0, staysCancelled},
	{"waiting", oldInc, pendingAsync, checkpoint.Waiting, "", 51, 0, goesOn},
	{"interrupted", oldInc, pendingAsync, checkpoint.Interrupted, "", 51, 0, goesOn},
	{"tuned", oldInc, pendingAsync, checkpoint.Interrupted, "", 58, 0, func(u *upgraded) {
		goesOn(u)
		if slices.ContainsFunc(u.batches, func(n int) bool { return n > 7 }) { // a tenth of the rate
			u.t.Errorf("batches of %v rows", u.batches)
		}
		if now := u.status().Request.Tuning; now != u.was.Request.Tuning || now.MaxRate != 70 || now.TargetHold == 0 {
			u.t.Errorf("tuned was %v and is %v", u.was.Request.Tuning, now)
		}
	}},
}

// staysPaused until it is resumed.
func staysPaused(u *upgraded) {
	paused := newUpTo("paused")
	err := u.do(engine.Config{Logger: slog.New(paused)}, func(eng *engine.Engine) error {
		if err := eng.Start(u.t.Context(), u.job); err != nil {
			return err
		}
		if !paused.before(eng.Wait) {
			return errors.New("it came to its end without a pause")
		}
		u.wantKept()
		u.wantEnd(pendingAsync, checkpoint.Paused)
		if err := eng.Resume(u.t.Context(), "job", "after lunch"); err != nil {
			return err
		}
		eng.Wait()
		return nil
	})
	u.wantErr(err, nil)
	u.wantRan(earlierRows - int(u.was.Rows))
	u.wantEnd(done, checkpoint.Done)
	u.want("SELECT count(*) FROM items WHERE n = 1", "90")
}

// staysCancelled until it is retried.
func staysCancelled(u *upgraded) {
	for range 2 {
		u.wantErr(u.run(), engine.ErrCancelled)
		u.wantKept()
		u.wantEnd(failed, checkpoint.Cancelled)
	}
	u.wantErr(u.do(engine.Config{}, func(eng *engine.Engine) error { return eng.Start(u.t.Context(), u.job) }), engine.ErrCancelled)
	u.wantErr(u.retry(), nil)
	u.wantRan(earlierRows - int(u.was.Rows))
	u.wantEnd(done, checkpoint.Done)
	u.want("SELECT count(*) FROM items WHERE n = 1", "90")
}

// Jobs that had come to an end of some kind.
var leftEnded = []leftBehind{
	{"failed", oldWords, failed, checkpoint.Failed, "", 51, 0, func(u *upgraded) {
		u.wantErr(u.run(), engine.ErrNoColumn) // the column still has another name
		u.wantKept()
		u.wantEnd(failed, checkpoint.Failed)
		u.exec("ALTER TABLE items RENAME COLUMN words TO word")
		goesOn(u)
	}},
	{"too-many-bad", oldInc, failed, checkpoint.Failed, "", 64, 2, func(u *upgraded) {
		err := u.do(engine.Config{QuarantineLimit: 2}, func(eng *engine.Engine) error {
			_, err := eng.Run(u.t.Context(), u.job)
			return err
		})
		u.wantErr(err, engine.ErrTooManyBadRows)
		u.wantKept()
		u.wantEnd(failed, checkpoint.Failed)
		mended(u)
	}},
	{"left", oldNever, failed, checkpoint.Failed, "", 180, 0, func(u *upgraded) {
		u.wantErr(u.run(), engine.ErrLeft) // after one more pass
		u.wantEnd(failed, checkpoint.Failed)
		u.want("SELECT min(n) || ' ' || max(n) FROM items", "3 3")
		u.exec("UPDATE items SET word = 'new'")
		u.wantErr(u.run(), nil)
		u.wantRan(0)
		u.wantEnd(done, checkpoint.Done)
		u.want("SELECT min(n) || ' ' || max(n) FROM items", "3 3")
	}},
	{"cancelled", oldInc, failed, checkpoint.Cancelled, checkpoint.Cancel, 71, 0, staysCancelled},
	{"cancelled-at-rest", oldInc, failed, checkpoint.Cancelled, checkpoint.Cancel, 51, 0, staysCancelled},
	{"done", oldWords, done, checkpoint.Done, "", 90, 0, staysDone},
	{"done-quarantined", oldInc, done, checkpoint.Done, "", 90, 3, func(u *upgraded) {
		staysDone(u)
		mended(u)
	}},
}

// staysDone, whoever starts it, unless it is another job now.
func staysDone(u *upgraded) {
	u.wantErr(u.run(), nil)
	u.wantKept()
	u.wantErr(u.do(engine.Config{}, func(eng *engine.Engine) error { return eng.Start(u.t.Context(), u.job) }), nil)
	u.wantKept()
	u.wantEnd(done, checkpoint.Done)

	other := jobs.Delete{Name: "job", Table: u.job.Spec().Table}
	u.wantErr(u.do(engine.Config{}, func(eng *engine.Engine) error { return eng.Start(u.t.Context(), other) }), engine.ErrJobChanged)
	u.wantKept()
}

// mended: the rows that were set aside are done when they can be, and the rest.
func mended(u *upgraded) {
	before := u.status()
	u.exec("UPDATE items SET n = 0 WHERE n = 7")
	u.wantErr(u.retry(), nil)
	u.wantRan(earlierRows - int(before.Rows))
	s := u.wantEnd(done, checkpoint.Done)
	u.want("SELECT count(*) FROM items WHERE n = 1", "90")
	if len(s.Quarantine) != 0 || s.Quarantined != 0 || s.Rows != 90 || s.Changed != 90 {
		u.t.Errorf("%d rows scanned, %d changed, %d counted in quarantine %v", s.Rows, s.Changed, s.Quarantined, s.Quarantine)
	}
}

// The ledger and the record did not say the same.
var leftDiffering = []leftBehind{
	{"done-pending", oldWords, pendingAsync, checkpoint.Done, "", 90, 0, staysDone},
	{"done-failed", oldWords, failed, checkpoint.Done, "", 90, 0, staysDone},
	{"failed-pending", oldInc, pendingAsync, checkpoint.Failed, "", 64, 2, mended},
	{"cancelled-pending", oldInc, pendingAsync, checkpoint.Cancelled, checkpoint.Cancel, 71, 0, staysCancelled},
	{"cancelling", oldInc, failed, checkpoint.Interrupted, checkpoint.Cancel, 51, 0, staysCancelled},
	{"reopened", oldInc, failed, checkpoint.Registered, "", 80, 1, goesOn},
	{"ledger-gone", oldInc, "", checkpoint.Interrupted, "", 51, 0, goesOn},
	{"ledger-done", oldInc, done, checkpoint.Interrupted, "", 51, 0, func(u *upgraded) {
		// The ledger is the application's: what it calls done is not run.
		u.wantErr(u.run(), nil)
		u.wantKept()
		u.exec("UPDATE _async_migrations SET status = 'failed'")
		goesOn(u)
	}},
}

// Each kind of job, and of key, in the middle.
var leftOfEachKind = []leftBehind{
	{"args", oldArgs, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		goesOn(u)
		u.want("SELECT group_concat(DISTINCT hex(o)) FROM items", "0001")
	}},
	{"transform", oldTransform, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		goesOn(u)
		u.want("SELECT count(*) FROM items WHERE word = 'word ' || id", "90")
	}},
	{"path-json", jobs.PathJSON("job", "packets"), pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		u.wantErr(u.run(), nil)
		u.wantRan(39)
		u.wantEnd(done, checkpoint.Done)
		u.want("SELECT count(*) FROM packets WHERE n = 1 AND path_json = printf('[\"%04X\"]', id)", "90")
	}},
	{"path-json-done", jobs.PathJSON("job", "packets"), done, checkpoint.Done, "", 90, 0, staysDone},
	{"delete-args", oldDeleteArgs, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		u.deletes()
		u.want("SELECT count(*) || ' ' || sum(id % 2) FROM items", "45 0")
	}},
	{"delete-todo", oldDeleteTodo, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		u.exec("INSERT INTO items (id) VALUES (7)") // behind the cursor: of a second pass
		u.deletes()
		u.want("SELECT count(*) || ' ' || sum(id % 2) FROM items", "45 0")
	}},
	{"delete-all", oldDeleteAll, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		u.exec("INSERT INTO items (id) VALUES (271)")
		u.deletes()
		u.want("SELECT group_concat(id) FROM items", "271")
	}},
	{"delete-all-text", oldDeleteAll, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		u.exec("INSERT INTO items (id, a) VALUES (271, 'é271')")
		u.beside = "INSERT INTO items (id, a) VALUES (272, 'é2005')" // within the bound
		u.deletes()
		u.want("SELECT group_concat(id) FROM items", "271,272")
	}},
	{"delete-all-without-rowid", oldDeleteAll, pendingAsync, checkpoint.Running, "", 51, 0, func(u *upgraded) {
		// Refused, since it would also delete what has come meanwhile.
		u.wantErr(u.run(), jobs.ErrSpec)
		u.wantKept()
		u.wantEnd(pendingAsync, checkpoint.Running)
	}},
	{"key-text", oldInc, pendingAsync, checkpoint.Running, "", 52, 1, func(u *upgraded) {
		goesOn(u)
		mended(u)
	}},
	{"key-text-at-the-bound", oldWords, pendingAsync, checkpoint.Verifying, "", 90, 0, func(u *upgraded) {
		if u.was.Fraction != 1 {
			u.t.Errorf("at its bound the job is %v done", u.was.Fraction)
		}
		goesOn(u)
	}},
	{"key-blob", oldInc, pendingAsync, checkpoint.Running, "", 51, 0, goesOn},
	{"key-real", oldInc, pendingAsync, checkpoint.Running, "", 51, 0, goesOn},
	{"key-desc", oldInc, pendingAsync, checkpoint.Running, "", 51, 0, goesOn},
	{"key-unique", oldInc, pendingAsync, checkpoint.Running, "", 51, 0, goesOn},
}

// deletes: the job is done.
func (u *upgraded) deletes() {
	u.t.Helper()
	u.wantErr(u.run(), nil)
	u.wantEnd(done, checkpoint.Done)
}

// The jobs, as the service of then defined them. None is idempotent: n counts how often
// a row was done.
var (
	plusOne = jobs.Assign{Column: "n", Expr: "n + 1"}

	oldInc   = jobs.Update{Name: "job", Table: "items", Set: []jobs.Assign{plusOne}}
	oldWords = jobs.Update{Name: "job", Table: "ITEMS", Set: []jobs.Assign{plusOne, {Column: "Word", Expr: "'new'"}}, Todo: "word <> 'new'"}
	oldNever = jobs.Update{Name: "job", Table: "items", Set: []jobs.Assign{plusOne}, Todo: "word <> 'new'"}

	oldArgs = jobs.Update{Name: "job", Table: "items", Set: []jobs.Assign{plusOne, {Column: "o", Expr: "?"}},
		Where: "id > ? AND word <> ? AND ? IS NOT NULL AND ? IS NULL AND id < ? AND word <> ? AND ?",
		Args: []any{[]byte("\x00\x01"), 0, "new", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), nil, 1e9,
			int64(7), true}}

	oldTransform = jobs.Transform{Name: "job", Table: "items", Read: []string{"id", "n"}, Write: []string{"n", "word"}, Version: "2",
		Row: func(read []any) ([]any, error) {
			return []any{read[1].(int64) + 1, fmt.Sprintf("word %d", read[0])}, nil
		}}

	oldDeleteArgs = jobs.Delete{Name: "job", Table: "items", Where: "id % 2 = ? AND word = ?", Args: []any{1, "old"}}
	oldDeleteTodo = jobs.Delete{Name: "job", Table: "items", Where: "id % 2 = 1"}
	oldDeleteAll  = jobs.Delete{Name: "job", Table: "items"}
)
