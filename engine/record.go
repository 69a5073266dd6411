package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/lite/wal"
	"github.com/chunkfill/chunkfill/internal/pace"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/throttle"
)

var (
	pid         = os.Getpid()
	hostname, _ = os.Hostname()
)

// recorder keeps the record of a job in its database, and shows it.
type recorder struct {
	e         *Engine
	name      string
	key       *lite.Key // that the table is walked by
	writer    *lite.Writer
	callbacks *callbacks
	wal       *wal.Checkpointer

	runID   string
	sampled time.Time
	last    lite.Timing // of the latest batch
	pace    *pace.Keeper

	observing observing
	shown     atomic.Pointer[shown]
}

// shown is a run as it stood at a time.
type shown struct {
	Status
	at time.Time
}

// record makes a hold for the records of the job.
func (r *recorder) record(ctx context.Context, write func(context.Context, lite.Querier) error) error {
	call := r.callbacks.pulse.begin(inHold)
	timing, err := r.writer.Hold(ctx, write)
	r.callbacks.pulse.end(call)
	r.report(HoldRecord, outcomeOf(err), 0, 0, timing)
	return err
}

// inHold is what a run is in the middle of that has, or waits for, the connection.
const inHold = "a hold, with the wait for the host's connection, has lasted"

// outcomeOf is how a hold ended that returned an error, or none.
func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Committed
	case lite.Classify(err) == lite.Busy:
		return Busy
	}
	return RolledBack
}

// Save writes a change of state and its event.
func (r *recorder) Save(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Request, error) {
	err := r.record(ctx, func(ctx context.Context, c lite.Querier) error { return saveStep(ctx, c, from, &to, e) })
	return to.Request, err
}

// saveStep is the part of a hold that records a change of state, by a run or by whoever
// owns a job that nobody runs.
func saveStep(ctx context.Context, q record.Querier, from chunkfill.Checkpoint, to *chunkfill.Checkpoint, e chunkfill.Event) (err error) {
	e.At = time.Now()
	if to.Request, err = record.SaveTx(ctx, q, from.RangeRecord, *to, e.At); err != nil {
		return err
	}
	return record.AddEvent(ctx, q, to.Name, e)
}

// Asked reads what is asked of the job, where no batch tells.
func (r *recorder) Asked(ctx context.Context) (chunkfill.Request, error) {
	cp, err := record.Load(ctx, r.e.readQuerier(), r.name)
	switch {
	case errors.Is(err, chunkfill.ErrUnknownJob), err == nil && cp.RunID != r.runID:
		return chunkfill.Request{}, fmt.Errorf("%w: %s", ErrLostOwner, r.name)
	case err != nil:
		return chunkfill.Request{}, err
	}
	r.pace.Heard(ctx, cp.Request)
	return cp.Request, nil
}

// Publish shows the run as it stands.
func (r *recorder) Publish(cp chunkfill.Checkpoint, request chunkfill.Request) {
	status := derive(cp, r.key)
	status.Ledger, status.Request = asyncmig.StatusPendingAsync, request
	before := r.shown.Swap(&shown{status, time.Now()})

	r.callbacks.pulse.beat(before == nil || before.Phase != cp.Phase || before.Step != cp.Step || before.Batches != cp.Batches)
	r.observing.published(cp.Phase, r.wal.Size())
}

// Waited is told of time in which the job did not hold the writer.
func (r *recorder) Waited(why throttle.Reason, d time.Duration) { r.observing.waited(why, d) }

// sample adds to the ring of samples and to the points of the walk, about once a second, with
// a batch from one record to the next, up to a position.
func (r *recorder) sample(ctx context.Context, q record.Querier, from chunkfill.Checkpoint, saved chunkfill.RangeRecord, end lite.Pos) error {
	now := time.Now()
	if now.Sub(r.sampled) < time.Second {
		return nil
	}
	r.sampled = now
	if err := record.AddSample(ctx, q, r.name, chunkfill.Sample{At: now, Rows: saved.Rows, BatchRows: saved.BatchRows,
		Hold: r.last.Held, Wait: r.last.Wait, WALBytes: lite.WALBytes(r.e.file.Path)}); err != nil {
		return err
	}
	return r.pace.AddTx(ctx, q, now, from, saved, end)
}

func (r *recorder) report(kind HoldKind, outcome Outcome, rows, changed int, t lite.Timing) {
	if kind == HoldBatch {
		r.last = t
		r.wal.Committed(t.WAL)
	}
	hold := Hold{At: time.Now(), Kind: kind, Rows: rows, Changed: changed, Waited: t.Wait, Held: t.Held, Outcome: outcome}
	if r.e.cfg.OnHold != nil {
		r.callbacks.do("OnHold", func() { r.e.cfg.OnHold(hold) })
	}
	r.observing.hold(hold)
}
