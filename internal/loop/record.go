package loop

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/redact"
	"github.com/chunkfill/chunkfill/throttle"
)

// recorder is the job's record as this run knows it. Nothing but this file, and the batch
// that commits with it, writes it.
type recorder struct {
	db  Database
	cfg Config
	log *slog.Logger

	state    State
	full     fullness
	patience *throttle.Pacer // with a database that is busy

	cp      chunkfill.Checkpoint // as of the last commit
	request chunkfill.Request    // likewise
	tuned   chunkfill.Tuning     // what the throttle has been told of it

	heard time.Time // when requests were last read
	lap   time.Time // up to when time is charged
}

// event is a line for the audit trail, written with a change of state.
type event struct {
	name, by, detail string

	logged string // what a log has in place of detail, where that may have a row's values in it
}

// change records a change of state, with its reason and event, and shows it.
func (r *recorder) change(ctx context.Context, on Event, reason string, e event) error {
	return r.changeTo(ctx, r.cp, on, reason, e)
}

// changeTo is change with a record that has changed beside its state.
func (r *recorder) changeTo(ctx context.Context, cp chunkfill.Checkpoint, on Event, reason string, e event) error {
	to, err := r.after(cp, on, reason)
	if err != nil {
		return err
	}

	err = r.persist(ctx, func(ctx context.Context) (err error) {
		to.Request, err = r.db.Save(ctx, r.cp, to, r.line(e))
		return err
	})
	if err != nil {
		return err
	}
	r.changed(to, e)
	return nil
}

// after is the record after an event.
func (r *recorder) after(cp chunkfill.Checkpoint, on Event, reason string) (chunkfill.Checkpoint, error) {
	state, err := Next(r.cfg.Job.Steps, r.state, on)
	if err != nil {
		return cp, err
	}
	cp = r.cfg.Job.Steps.at(cp, state)
	cp.Reason = reason
	return cp, nil
}

// line is an event as the audit trail has it.
func (r *recorder) line(e event) chunkfill.Event {
	return chunkfill.Event{Event: e.name, By: cmp.Or(e.by, r.cfg.Actor), Detail: e.detail}
}

// changed takes over a change of state that has been written: the transaction is durable,
// and memory may follow it.
func (r *recorder) changed(to chunkfill.Checkpoint, e event) {
	r.cp, r.request, r.state = to, to.Request, r.cfg.Job.Steps.StateOf(to)
	r.log.Info("chunkfill: "+e.name, "phase", string(to.Phase), "reason", to.Reason, "by", cmp.Or(e.by, r.cfg.Actor), "detail", cmp.Or(e.logged, e.detail),
		"rows", to.Rows, "changed", to.Changed, "quarantined", to.Quarantined)
	r.publish()
}

// persist writes something in a hold of its own, however long the database is busy or
// its disk full: it is for what must be recorded.
func (r *recorder) persist(ctx context.Context, write func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := write(ctx)
		pause := r.patience.Busy(time.Now(), attempt).Fixed
		if err == nil {
			return nil
		}

		switch r.db.Class(err) {
		case Busy:
		case Full:
			r.Full(err)
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

// advanced is the record of the range after a batch.
func (w *worker) advanced(out Outcome, asked int) chunkfill.RangeRecord {
	r := w.cp.RangeRecord
	r.Cursor = out.End
	r.Rows += int64(out.Rows)
	r.Changed += int64(out.Changed)
	r.Batches++
	switch {
	case out.Bad != nil:
		r.Quarantined++
	case !w.bisect.active():
		r.BatchRows = asked // the size that was meant, whatever cut the batch short
	}
	return r
}

// committed takes over what a batch has written.
func (r *recorder) committed(out Outcome) {
	r.cp.RangeRecord, r.request = out.Saved, out.Request
	r.heard = time.Now()

	r.cp.Working += out.Held
	r.lap = r.lap.Add(out.Held)
}

// Listen reads what is asked of the job, where no batch tells.
func (r *recorder) Listen(ctx context.Context) error {
	r.heard = time.Now()
	request, err := r.db.Asked(ctx)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx.Err())
	case err == nil:
	case r.db.Class(err) == Busy, r.db.Class(err) == Full:
		return nil // it is asked again
	default:
		return err
	}
	r.request = request
	r.publish()
	return nil
}

// Asked reports whether something is asked that the job does not honor yet.
func (r *recorder) Asked() bool {
	asks := r.request.Control != chunkfill.NoControl
	if r.request.Control == chunkfill.Cancel {
		asks = r.mayBeCancelled()
	}
	return asks || r.request.Tuning != r.tuned
}

// mayBeCancelled reports whether a cancel changes anything: neither when the job is on its
// way back already nor after its point of no return.
func (r *recorder) mayBeCancelled() bool {
	_, err := Next(r.cfg.Job.Steps, r.state, CancelAsked)
	return err == nil && !r.state.Back
}

// charge puts the time since the last call to an account, so that together they are
// the time that the walk has taken, and says what it went into: "" is the work between two
// holds.
func (r *recorder) charge(account *time.Duration, why throttle.Reason) {
	now := time.Now()
	spent := max(0, now.Sub(r.lap))
	r.lap = now

	*account += spent
	if spent > 0 {
		r.db.Waited(why, spent)
	}
}

// settle charges what was neither a hold nor a pause. Counting what is left is no part
// of the walk.
func (r *recorder) settle() {
	if r.cp.Phase == chunkfill.Running {
		r.charge(&r.cp.Throttled, "")
	}
	r.lap = time.Now()
}

// publish shows the run as it stands.
func (r *recorder) publish() { r.db.Publish(r.cp, r.request) }

// showWaiting shows a wait that cannot be recorded.
func (r *recorder) showWaiting(reason throttle.Reason) {
	cp := r.cp
	cp.Phase, cp.Reason = chunkfill.Waiting, string(reason)
	r.db.Publish(cp, r.request)
}

// Full notes that an error of the job's own work said that the disk is full.
func (r *recorder) Full(err error) {
	if !r.full.stands() {
		r.filled(err)
	}
}

func (r *recorder) filled(err error) {
	r.full.observe(time.Now(), r.db.Free())
	r.log.Warn("chunkfill: the disk is full; the job waits for room", "error", redact.Text(err))
}

// How long a run that was told to stop goes on to record that. What it does not get
// done in this time is no loss: the record of the last batch stands, and what was
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
