package engine

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

var (
	pid         = os.Getpid()
	hostname, _ = os.Hostname()
)

// event is a line for the audit trail, written with a change of phase.
type event struct {
	name, by, detail string
}

// persist writes something in a hold of its own, however long the database is busy or
// its disk full: it is for what must be recorded.
func (r *runner) persist(ctx context.Context, write func(context.Context, lite.Querier) error) error {
	for attempt := 1; ; attempt++ {
		timing, err := r.writer.Hold(ctx, write)
		r.report(HoldRecord, 0, 0, timing)

		pause := r.pacer.Busy(time.Now(), attempt).Fixed
		switch {
		case errors.Is(err, sql.ErrConnDone):
			return err
		case lite.Classify(err) == lite.Busy:
		case r.e.isFull(err):
			if !r.full.stands() {
				r.filled(err)
			}
			r.showWaiting(throttle.ReasonFull)
			pause = poll
		default:
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return interrupted(err)
		}
	}
}

// How long a run that was told to stop goes on to record that. What it does not get
// done in this time is no loss: the checkpoint of the last batch stands, and what was
// asked of the job is asked of the next run as well.
const lastWordTime = 100 * time.Millisecond

// lastWord returns a context that goes on for a moment after ctx has ended.
func lastWord(ctx context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(lastWordTime, cancel)
		context.AfterFunc(last, func() { timer.Stop() })
	})
	return last, func() { stop(); cancel() }
}

// enterPhase records a change of phase, with its reason and event, and shows it.
func (r *runner) enterPhase(ctx context.Context, phase checkpoint.Phase, reason string, e event) error {
	cp := r.cp
	cp.Phase, cp.Reason = phase, reason
	by := e.by
	if by == "" {
		by = r.e.cfg.Actor
	}
	var request checkpoint.Request
	err := r.persist(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		now := time.Now()
		if request, err = checkpoint.SaveTx(ctx, c, cp, now); err != nil {
			return err
		}
		return checkpoint.AddEvent(ctx, c, r.spec.Name, checkpoint.Event{At: now, Event: e.name, By: by, Detail: e.detail})
	})
	if err != nil {
		return err
	}
	r.cp, r.request = cp, request
	r.log.Info("chunkfill: "+e.name, "phase", string(phase), "reason", reason, "by", by, "detail", e.detail,
		"rows", cp.Rows, "changed", cp.Changed, "quarantined", cp.Quarantined)
	r.publish()
	return nil
}

// sample adds to the ring of samples, about once a second, with a batch.
func (r *runner) sample(ctx context.Context, q checkpoint.Querier, cp checkpoint.Checkpoint) error {
	now := time.Now()
	if now.Sub(r.sampled) < time.Second {
		return nil
	}
	r.sampled = now
	return checkpoint.AddSample(ctx, q, cp.Name, checkpoint.Sample{At: now, Rows: cp.Rows, BatchRows: cp.BatchRows,
		Hold: r.last.Held, Wait: r.last.Wait, WALBytes: lite.WALBytes(r.e.file.Path)})
}

func (r *runner) report(kind HoldKind, rows, changed int, t lite.Timing) {
	if kind == HoldBatch {
		r.last = t
	}
	if r.e.cfg.OnHold != nil {
		hold := Hold{At: time.Now(), Kind: kind, Rows: rows, Changed: changed, Waited: t.Wait, Held: t.Held}
		r.callbacks.do("OnHold", func() { r.e.cfg.OnHold(hold) })
	}
}
