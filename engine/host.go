package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/internal/hostsignal"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/redact"
)

// callbacks calls what the host has configured. One that panics or ends its goroutine
// fails the job, at the next moment at which that can be recorded, and is not called
// again by it.
type callbacks struct {
	worker lite.Worker // for those that the job's goroutine calls
	pulse  pulse

	// The gauge has a goroutine of its own, since it need not answer in time.
	asks    chan func() int
	answers chan int
	pending bool // it has been asked and has not answered

	mu  sync.Mutex
	err error // the first that did not return
}

// do is for the job's goroutine.
func (c *callbacks) do(what string, fn func()) {
	if c.failed() != nil {
		return
	}
	call := c.pulse.begin(what + notReturned)
	defer c.pulse.end(call)
	c.note(c.worker.Do(what, func() error { fn(); return nil }))
}

// notReturned is what there is to say of a call under way.
const notReturned = ", a callback of the host, has not returned"

const (
	// How long a hold waits for what the host's gauge says. One that asks something of the job,
	// or reads, waits itself for the connection that the hold has; then the batch ends for it.
	gaugePatience = 2 * time.Millisecond
	// The same between two holds.
	gaugeIdle = 50 * time.Millisecond
)

// gauge asks the host how many live writes there are. A gauge that has not answered within
// limit counts as one, and its answer is taken the next time.
func (c *callbacks) gauge(ask func() int, limit time.Duration) int {
	if c.failed() != nil {
		return 0
	}
	if c.asks == nil {
		c.asks, c.answers = make(chan func() int, 1), make(chan int, 1)
		go c.answer(c.asks, c.answers)
	}
	if !c.pending {
		c.asks <- ask
		c.pending = true
	}

	// Most answer at once, and a timer costs more than that.
	for range 3 {
		select {
		case n := <-c.answers:
			c.pending = false
			return n
		default:
			runtime.Gosched()
		}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case n := <-c.answers:
		c.pending = false
		return n
	case <-timer.C:
		return 1
	}
}

// answer makes the calls, for as long as they return. One that does not is answered by 0.
func (c *callbacks) answer(asks <-chan func() int, answers chan<- int) {
	calling := false
	var under *call
	defer func() {
		c.pulse.end(under)
		p := recover()
		switch {
		case p != nil:
			c.note(fmt.Errorf("%w: panic: %v: in LiveWriters", lite.ErrHostCode, p))
		case calling:
			c.note(fmt.Errorf("%w: it ended its goroutine (runtime.Goexit): in LiveWriters", lite.ErrHostCode))
		}
		if calling {
			answers <- 0
		}
	}()

	for ask := range asks {
		under = c.pulse.begin("LiveWriters" + notReturned)
		calling = true
		n := ask()
		calling = false
		c.pulse.end(under)
		answers <- n
	}
}

// end ends the goroutines, when they are through with what they do.
func (c *callbacks) end() {
	c.worker.End()
	if c.asks != nil {
		close(c.asks)
		c.asks = nil
	}
}

// doAnywhere is for any goroutine, and also after a failure: a logger hears how it ended.
func (c *callbacks) doAnywhere(what string, fn func()) {
	call := c.pulse.begin(what + notReturned)
	defer c.pulse.end(call)
	var w lite.Worker
	defer w.End()
	c.note(w.Do(what, func() error { fn(); return nil }))
}

func (c *callbacks) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *callbacks) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// logger is the host's, from which nothing but silence can come.
func (c *callbacks) logger(host *slog.Logger) *slog.Logger {
	return slog.New(hostHandler{host.Handler(), c})
}

// hostHandler hands records to the handler of the host.
type hostHandler struct {
	host  slog.Handler
	calls *callbacks
}

func (h hostHandler) Enabled(ctx context.Context, level slog.Level) (yes bool) {
	h.calls.doAnywhere("the Logger", func() { yes = h.host.Enabled(ctx, level) })
	return yes
}

func (h hostHandler) Handle(ctx context.Context, r slog.Record) (err error) {
	h.calls.doAnywhere("the Logger", func() { err = h.host.Handle(ctx, r) })
	return err
}

func (h hostHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := h
	h.calls.doAnywhere("the Logger", func() { with.host = h.host.WithAttrs(attrs) })
	return with
}

func (h hostHandler) WithGroup(name string) slog.Handler {
	with := h
	h.calls.doAnywhere("the Logger", func() { with.host = h.host.WithGroup(name) })
	return with
}

// signals are what the host says of its load to one run of a job.
type signals struct {
	throttle func() (time.Duration, string)
	critical func(context.Context) (bool, error)
	close    func()
}

// throttled is an answer of the host's throttle.
type throttled struct {
	wait   time.Duration
	reason string
}

// How long an answer stands that is not fresh: the next look is as soon.
const staleWait = 50 * time.Millisecond

func (e *Engine) newSignals(name string, calls *callbacks) signals {
	s := signals{close: func() {}}
	if ask := e.cfg.Throttle; ask != nil {
		asker := hostsignal.New(func(ctx context.Context) (t throttled) {
			t.wait, t.reason = ask(ctx)
			return t
		}, calls.brokenIn("Throttle"))
		s.throttle = func() (time.Duration, string) {
			now, fresh := asker.Now()
			if !fresh {
				now.wait = min(now.wait, staleWait)
			}
			return now.wait, now.reason
		}
		s.close = asker.Close
	}
	if ask := e.cfg.Critical; ask != nil {
		asker := hostsignal.New(ask, calls.brokenIn("Critical"))
		s.critical = func(ctx context.Context) (bool, error) {
			reason, fresh := asker.Now()
			if reason == "" || !fresh { // a reason that was heeded before may have been overruled by a resume
				return false, nil
			}
			return true, e.pauseCritical(ctx, name, reason)
		}
		before := s.close
		s.close = func() { before(); asker.Close() }
	}
	return s
}

// brokenIn notes that a function of the host did not return.
func (c *callbacks) brokenIn(what string) func(error) {
	return func(err error) { c.note(fmt.Errorf("%w: in %s", err, what)) }
}

// tellEnd has the host told how a run has ended, once the ledger says so.
func (e *Engine) tellEnd(ctx context.Context, name string, err error) {
	if e.cfg.OnDone == nil && e.cfg.OnFailed == nil || is(err, ErrCancelled) || errors.Is(ledger(err), asyncmig.ErrKeepPending) {
		return
	}

	e.store.AfterEnd(ctx, name, func() {
		s, readErr := ReadStatus(context.WithoutCancel(ctx), e.guest, name)
		if readErr != nil {
			e.log.Error("chunkfill: OnDone and OnFailed are not called, since the status cannot be read", "migration", name, "error", redact.Text(readErr))
			return
		}

		var calls callbacks
		switch {
		case err == nil && s.Ledger == asyncmig.StatusDone && e.cfg.OnDone != nil:
			calls.doAnywhere("OnDone", func() { e.cfg.OnDone(s) })
		case err != nil && s.Ledger == asyncmig.StatusFailed && e.cfg.OnFailed != nil:
			calls.doAnywhere("OnFailed", func() { e.cfg.OnFailed(s, asFailure(err)) })
		}
		if broken := calls.failed(); broken != nil {
			e.log.Error("chunkfill: a function of the host's did not return", "migration", name, "error", redact.Text(broken))
		}
	})
}

// Sound tells why the run must not go on: the file is another one, or code of the host
// did not return.
func (p *pressure) Sound() error {
	if err := p.callbacks.failed(); err != nil {
		return err
	}
	return p.unmoved()
}
