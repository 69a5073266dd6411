package loop

import (
	"cmp"
	"context"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// record is the job's record as this run knows it. Nothing but this file, and the batch
// that commits with it, writes it.
type record struct {
	cp      chunkfill.Checkpoint // as of the last commit
	request chunkfill.Request    // likewise
	tuned   chunkfill.Tuning     // what the throttle has been told of it

	heard time.Time // when requests were last read
	lap   time.Time // up to when time is charged
}

// event is a line for the audit trail, written with a change of state.
type event struct {
	name, by, detail string
}

// change records a change of state, with its reason and event, and shows it.
func (l *Loop) change(ctx context.Context, on Event, reason string, e event) error {
	return l.changeTo(ctx, l.cp, on, reason, e)
}

// changeTo is change with a record that has changed beside its state.
func (l *Loop) changeTo(ctx context.Context, cp chunkfill.Checkpoint, on Event, reason string, e event) error {
	to, err := l.after(cp, on, reason)
	if err != nil {
		return err
	}

	err = l.persist(ctx, func(ctx context.Context) (err error) {
		to.Request, err = l.db.Save(ctx, l.cp, to, l.line(e))
		return err
	})
	if err != nil {
		return err
	}
	l.changed(to, e)
	return nil
}

// after is the record after an event.
func (l *Loop) after(cp chunkfill.Checkpoint, on Event, reason string) (chunkfill.Checkpoint, error) {
	state, err := Next(l.cfg.Job.Steps, l.state, on)
	if err != nil {
		return cp, err
	}
	cp = l.cfg.Job.Steps.at(cp, state)
	cp.Reason = reason
	return cp, nil
}

// line is an event as the audit trail has it.
func (l *Loop) line(e event) chunkfill.Event {
	return chunkfill.Event{Event: e.name, By: cmp.Or(e.by, l.cfg.Actor), Detail: e.detail}
}

// changed takes over a change of state that has been written: the transaction is durable,
// and memory may follow it.
func (l *Loop) changed(to chunkfill.Checkpoint, e event) {
	l.cp, l.request, l.state = to, to.Request, l.cfg.Job.Steps.StateOf(to)
	l.log.Info("chunkfill: "+e.name, "phase", string(to.Phase), "reason", to.Reason, "by", cmp.Or(e.by, l.cfg.Actor), "detail", e.detail,
		"rows", to.Rows, "changed", to.Changed, "quarantined", to.Quarantined)
	l.publish()
}

// persist writes something in a hold of its own, however long the database is busy or
// its disk full: it is for what must be recorded.
func (l *Loop) persist(ctx context.Context, write func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := write(ctx)
		pause := l.pacer.Busy(time.Now(), attempt).Fixed
		if err == nil {
			return nil
		}

		switch l.db.Class(err) {
		case Busy:
		case Full:
			l.Full(err)
			l.showWaiting(throttle.ReasonFull)
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
func (l *Loop) advanced(out Outcome, asked int) chunkfill.RangeRecord {
	r := l.cp.RangeRecord
	r.Cursor = out.End
	r.Rows += int64(out.Rows)
	r.Changed += int64(out.Changed)
	r.Batches++
	switch {
	case out.Bad != nil:
		r.Quarantined++
	case !l.bisect.active():
		r.BatchRows = asked // the size that was meant, whatever cut the batch short
	}
	return r
}

// committed takes over what a batch has written.
func (l *Loop) committed(out Outcome) {
	l.cp.RangeRecord, l.request = out.Saved, out.Request
	l.heard = time.Now()

	l.cp.Working += out.Held
	l.lap = l.lap.Add(out.Held)
}

// Listen reads what is asked of the job, where no batch tells.
func (l *Loop) Listen(ctx context.Context) error {
	l.heard = time.Now()
	request, err := l.db.Asked(ctx)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx.Err())
	case err == nil:
	case l.db.Class(err) == Busy, l.db.Class(err) == Full:
		return nil // it is asked again
	default:
		return err
	}
	l.request = request
	l.publish()
	return nil
}

// Asked reports whether something is asked that the job does not honor yet.
func (l *Loop) Asked() bool {
	asks := l.request.Control != chunkfill.NoControl
	if l.request.Control == chunkfill.Cancel {
		asks = l.mayBeCancelled()
	}
	return asks || l.request.Tuning != l.tuned
}

// charge puts the time since the last call to an account, so that together they are
// the time that the walk has taken.
func (l *Loop) charge(account *time.Duration) {
	now := time.Now()
	*account += max(0, now.Sub(l.lap))
	l.lap = now
}

// settle charges what was neither a hold nor a pause. Counting what is left is no part
// of the walk.
func (l *Loop) settle() {
	if l.cp.Phase == chunkfill.Running {
		l.charge(&l.cp.Throttled)
	}
	l.lap = time.Now()
}

// publish shows the run as it stands.
func (l *Loop) publish() { l.db.Publish(l.cp, l.request) }

// showWaiting shows a wait that cannot be recorded.
func (l *Loop) showWaiting(reason throttle.Reason) {
	cp := l.cp
	cp.Phase, cp.Reason = chunkfill.Waiting, string(reason)
	l.db.Publish(cp, l.request)
}

// Full notes that an error of the job's own work said that the disk is full.
func (l *Loop) Full(err error) {
	if !l.full.stands() {
		l.filled(err)
	}
}

func (l *Loop) filled(err error) {
	l.full.observe(time.Now(), l.db.Free())
	l.log.Warn("chunkfill: the disk is full; the job waits for room", "error", err)
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
