package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
)

var (
	ctx = context.Background()

	kill      = func(when string) []step { return []step{{when, die}} }
	killAfter = []run{{steps: kill("batch 4")}}
	stop      = run{steps: []step{{"batch 4", func(h *host) { h.stop() }}}}
)

func pause(h *host)  { h.must(h.eng.Pause(ctx, h.name(), "lunch")) }
func cancel(h *host) { h.must(h.eng.Cancel(ctx, h.name(), "not now")) }

// name of the job.
func (h *host) name() string { return h.job.Spec().Name }

// both does one thing after another.
func both(fns ...func(*host)) func(*host) {
	return func(h *host) {
		for _, fn := range fns {
			fn(h)
		}
	}
}

// insertBehind inserts rows of the old form that the walk has passed.
func insertBehind(h *host) {
	h.exec("INSERT INTO items (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 3 FROM c WHERE i < 85) SELECT i FROM c")
}

func states() []state {
	all := begun()
	all = append(all, asked()...)
	all = append(all, ended()...)
	all = append(all, differing()...)
	return append(all, kinds()...)
}

// begun: killed on the way.
func begun() []state {
	return []state{
		{name: "registered", tables: items(), job: inc, killed: true, runs: []run{{instead: func(h *host) error {
			store := asyncmig.NewStore(h.db, asyncmig.Config{})
			return store.Run(ctx, h.name(), func(context.Context, *sql.DB) error { die(h); return nil })
		}}}},
		{name: "taken", tables: items(), job: inc, killed: true, runs: []run{{steps: kill("record 1")}}},
		{name: "walking", tables: items(), job: inc, killed: true, runs: killAfter},
		{name: "in-a-batch", tables: items(), job: inc, killed: true, runs: []run{{steps: []step{
			{"batch 3", func(h *host) {
				h.exec("CREATE TEMP TRIGGER fatal AFTER UPDATE ON main.items WHEN new.id = 120 BEGIN SELECT die(); END")
			}},
		}}}},
		{name: "at-the-bound", tables: items(), job: words, killed: true, runs: []run{{steps: kill("rows 90")}}},
		{name: "verifying", tables: items(), job: words, killed: true, runs: []run{{steps: kill("verifying")}}},
		{name: "verified", tables: items(), job: words, killed: true, runs: []run{{steps: []step{
			{"batch 4", insertBehind}, {"verified", die},
		}}}},
		{name: "second-pass", tables: items(), job: words, killed: true, runs: []run{{steps: []step{
			{"batch 4", insertBehind}, {"second pass", nil}, {"batch 2", die},
		}}}},
		{name: "bisection", tables: items("UPDATE items SET n = 7 WHERE id IN (60, 210)"), job: inc, killed: true, runs: []run{{steps: []step{
			{"row set aside", nil}, {"failed 2", nil}, {"batch 1", die},
		}}}},
		{name: "empty", tables: items("DELETE FROM items"), job: words, killed: true, runs: []run{{steps: kill("record 1")}}},
		{name: "empty-done", tables: items("DELETE FROM items"), job: words, runs: []run{{}}},
	}
}

// asked: what somebody wanted of the job.
func asked() []state {
	return []state{
		{name: "paused", tables: items(), job: inc, killed: true, runs: []run{{steps: []step{{"batch 4", pause}, {"paused", die}}}}},
		{name: "paused-interrupted", tables: items(), job: inc, runs: []run{{steps: []step{
			{"batch 4", pause}, {"paused", func(h *host) { h.stop() }},
		}}}},
		{name: "pause-asked", tables: items(), job: inc, killed: true, runs: []run{{steps: []step{{"batch 4", both(pause, die)}}}}},
		{name: "cancel-asked", tables: items(), job: inc, killed: true, runs: []run{{steps: []step{{"batch 4", both(cancel, die)}}}}},
		{name: "waiting", tables: items(), job: inc, killed: true, runs: []run{stop,
			{cfg: engine.Config{Window: closed()}, steps: kill("waiting")},
		}},
		{name: "interrupted", tables: items(), job: inc, runs: []run{stop}},
		{name: "tuned", tables: items(), job: inc, runs: []run{{steps: []step{
			{"batch 3", func(h *host) {
				h.must(h.eng.Tune(ctx, h.name(), checkpoint.Tuning{TargetHold: 900 * time.Millisecond, MaxRate: 70}))
			}},
			{"batch 2", func(h *host) { h.stop() }},
		}}}},
	}
}

// closed is a window that is not open today.
func closed() string {
	return fmt.Sprintf("%.3s 00:00-00:01 UTC", time.Now().UTC().AddDate(0, 0, 3).Weekday())
}

// ended: jobs that had come to an end of some kind.
func ended() []state {
	bad := items("UPDATE items SET n = 7 WHERE id IN (45, 120, 195)")
	return []state{
		{name: "failed", tables: items(), job: words, runs: []run{{steps: []step{
			{"batch 4", func(h *host) { h.exec("ALTER TABLE items RENAME COLUMN word TO words") }},
		}}}},
		{name: "too-many-bad", tables: bad, job: inc, runs: []run{{cfg: engine.Config{QuarantineLimit: 2}}}},
		{name: "left", tables: items(), job: never, runs: []run{{}}},
		{name: "cancelled", tables: items(), job: inc, runs: []run{{steps: []step{{"batch 4", cancel}}}}},
		{name: "cancelled-at-rest", tables: items(), job: inc, runs: []run{stop, {instead: func(h *host) error { cancel(h); return nil }}}},
		{name: "done", tables: items(), job: words, runs: []run{{}}},
		{name: "done-quarantined", tables: bad, job: inc, runs: []run{{}}},
	}
}

// differing: the ledger and the record do not say the same.
func differing() []state {
	by := func(statement string) []run {
		return []run{stop, {instead: func(h *host) error { h.exec(statement); return nil }}}
	}
	return []state{
		{name: "done-pending", tables: items(), job: words, killed: true, runs: []run{{steps: kill("ended")}}},
		{name: "done-failed", tables: items(), job: words, runs: []run{{}, {instead: func(h *host) error {
			h.exec("UPDATE _async_migrations SET status = 'failed'")
			return nil
		}}}},
		{name: "failed-pending", tables: items("UPDATE items SET n = 7 WHERE id IN (45, 120, 195)"), job: inc, killed: true, runs: []run{
			{cfg: engine.Config{QuarantineLimit: 2}, steps: kill("failed")},
		}},
		{name: "cancelled-pending", tables: items(), job: inc, killed: true, runs: []run{{steps: []step{{"batch 4", cancel}, {"cancelled", die}}}}},
		{name: "cancelling", tables: items(), job: inc, killed: true, runs: []run{stop, {instead: func(h *host) error {
			// What Cancel does of a job that nobody runs, up to its last statement.
			h.must(checkpoint.Ask(ctx, h.db, h.name(), checkpoint.Cancel, "the service of then", "not now"))
			h.must(asyncmig.NewStore(h.db, asyncmig.Config{}).Fail(ctx, h.name(), "cancelled"))
			die(h)
			return nil
		}}}},
		{name: "reopened", tables: items("UPDATE items SET n = 7 WHERE id = 60"), job: inc, killed: true, runs: []run{
			{steps: []step{{"row set aside", nil}, {"batch 2", cancel}}},
			{instead: func(h *host) error {
				h.exec("CREATE TEMP TRIGGER fatal BEFORE UPDATE ON main.items WHEN new.id = 60 BEGIN SELECT die(); END")
				_, err := h.eng.Retry(ctx, h.job)
				return err
			}},
		}},
		{name: "ledger-done", tables: items(), job: inc, runs: by("UPDATE _async_migrations SET status = 'done'")},
		{name: "ledger-gone", tables: items(), job: inc, runs: by("DELETE FROM _async_migrations")},
	}
}
