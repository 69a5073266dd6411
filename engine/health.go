package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/throttle"
)

// Health returns nil while the jobs of this engine get on, or wait for a reason that is
// known: a pause, the window, a guard (the log, the disk), the rate, rows that are still
// being computed, another process that runs the job. Otherwise it returns an error that
// names each job that does not, and since when:
//
//   - ErrFailed for a job that failed in this engine, for as long as it is failed, and
//     ErrLostOwner and ErrMoved for one whose run had to stop;
//   - ErrStuck for a job whose batches have not got on for [Config.StuckAfter], in which a
//     callback of the application has not returned for as long, which cannot get the
//     application's own connection, or which has not begun. A write lock that another
//     process holds for so long is no reason to wait: then nobody else can write either;
//   - ErrClosed once the engine was closed.
//
// The error has no text of a database's and no key in it, and may be shown to whoever asks;
// Status says more. It is for a page, an alert or a readiness check. As a liveness check it
// would have a process restarted that a failed job fails again.
//
// Health is safe for concurrent use, and cheap. It does not touch the application's
// connection. Of a job that has failed it reads the record on the engine's own connection,
// which a database in memory has not, since another process may have retried or forgotten it
// meanwhile; this takes at most 100 ms and ends with ctx.
func (e *Engine) Health(ctx context.Context) error {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(new(error))

	e.mu.Lock()
	limit := e.cfg.StuckAfter
	var verdicts []verdict
	for name, s := range e.taking {
		verdicts = append(verdicts, verdict{name, stuckTaking(s, limit)})
	}
	for name, s := range e.running {
		verdicts = append(verdicts, verdict{name, stuckRunning(s, limit)})
	}
	for name, err := range e.ended {
		if e.taking[name] == nil && e.running[name] == nil {
			verdicts = append(verdicts, verdict{name, endedBadly(err)})
		}
	}
	e.mu.Unlock()

	verdicts = slices.DeleteFunc(verdicts, func(t verdict) bool {
		return t.err == nil || errors.Is(t.err, ErrFailed) && e.goneOn(ctx, t.job)
	})
	slices.SortFunc(verdicts, func(a, b verdict) int { return strings.Compare(a.job, b.job) })
	all := make([]error, len(verdicts))
	for i, t := range verdicts {
		all[i] = fmt.Errorf("job %s: %w", t.job, t.err)
	}
	return errors.Join(all...)
}

// verdict is what is wrong with a job; nil for nothing.
type verdict struct {
	job string
	err error
}

// stuckTaking tells what is wrong with a run that has yet to take its job over; nil for
// nothing.
func stuckTaking(s *session, limit time.Duration) error {
	p := &s.callbacks.pulse
	if what, lasts := p.latest(limit); what != "" {
		return stuck(what, lasts)
	}
	if still := p.still(); still > limit {
		return stuck("it has not begun (another process may hold the write lock, or one of an older version run a job)", still)
	}
	return nil
}

// stuckRunning is the same of a run that has its job.
func stuckRunning(s *session, limit time.Duration) error {
	p := &s.callbacks.pulse
	if what, lasts := p.latest(limit); what != "" {
		return stuck(what, lasts)
	}
	if silent := p.silent(); silent > limit {
		return stuck("there has been no sign of life", silent)
	}
	if still, shown := p.still(), s.shown.Load(); still > limit && !waitsFor(shown.Phase, throttle.Reason(shown.Reason)) {
		return stuck("it has not got on ("+cmp.Or(shown.Reason, "for no known reason")+")", still)
	}
	return nil
}

func stuck(what string, lasts time.Duration) error {
	return fmt.Errorf("%w: %s for %v", ErrStuck, what, lasts.Round(time.Second/10))
}

// waitsFor reports whether a job that lives, though its batches do not get on, may do so.
func waitsFor(phase chunkfill.Phase, why throttle.Reason) bool {
	switch phase {
	case chunkfill.Running, chunkfill.Reverting:
		return why == throttle.ReasonRate || why == throttle.ReasonCompute
	}
	return true // paused, waiting, or counting
}

// endedBadly tells what is wrong with how a run ended, without what the database said.
func endedBadly(err error) error {
	switch {
	case is(err, ErrInterrupted, ErrCancelled, ErrClosed):
		return nil
	case errors.Is(err, ErrMoved):
		return ErrMoved
	case errors.Is(err, ErrLostOwner):
		return ErrLostOwner
	}
	return ErrFailed
}

// goneOn reports whether a job that failed here is not failed any more.
func (e *Engine) goneOn(ctx context.Context, name string) bool {
	if e.reader == nil { // no other process can have done anything to it
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	cp, err := record.Load(ctx, e.reader, name)
	return errors.Is(err, ErrUnknownJob) || err == nil && cp.Phase != chunkfill.Failed
}

// healthPatience is how long Health waits for a read.
const healthPatience = 100 * time.Millisecond
