package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// callbacks calls what the host has configured. One that panics or ends its goroutine
// fails the job, at the next moment at which that can be recorded, and is not called
// again by it.
type callbacks struct {
	worker lite.Worker // for those that the job's goroutine calls

	asked chan int // the answer of a gauge that is under way; nil if none is

	mu  sync.Mutex
	err error // the first that did not return
}

// do is for the job's goroutine.
func (c *callbacks) do(what string, fn func()) {
	if c.failed() == nil {
		c.note(c.worker.Do(what, func() error { fn(); return nil }))
	}
}

// How long a hold waits for what the host's gauge says. One that asks something of the job, or
// reads, waits itself for the connection that the hold has; then the batch ends for it.
const gaugePatience = 2 * time.Millisecond

// gauge asks the host how many live writes there are. A gauge that has not answered within
// limit counts as one, and its answer is taken the next time.
func (c *callbacks) gauge(ask func() int, limit time.Duration) int {
	if c.failed() != nil {
		return 0
	}
	if c.asked == nil {
		answer := make(chan int, 1)
		c.asked = answer
		go c.answer(ask, answer)
	}

	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case n := <-c.asked:
		c.asked = nil
		return n
	case <-timer.C:
		return 1
	}
}

// answer sends what the gauge says, and 0 if it does not return.
func (c *callbacks) answer(ask func() int, to chan<- int) {
	n, returned := 0, false
	defer func() {
		p := recover()
		switch {
		case p != nil:
			c.note(fmt.Errorf("%w: panic: %v: in LiveWriters", lite.ErrHostCode, p))
		case !returned:
			c.note(fmt.Errorf("%w: it ended its goroutine (runtime.Goexit): in LiveWriters", lite.ErrHostCode))
		}
		to <- n
	}()
	n = ask()
	returned = true
}

// doAnywhere is for any goroutine, and also after a failure: a logger hears how it ended.
func (c *callbacks) doAnywhere(what string, fn func()) {
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

// sound tells why the run must not go on: the file is another one, or code of the host
// did not return.
func (r *runner) sound() error {
	if err := r.callbacks.failed(); err != nil {
		return err
	}
	return r.unmoved()
}
