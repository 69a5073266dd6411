package engine

import (
	"context"
	"log/slog"
	"sync"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// callbacks calls what the host has configured. One that panics or ends its goroutine
// fails the job, at the next moment at which that can be recorded, and is not called
// again by it.
type callbacks struct {
	worker lite.Worker // for those that the job's goroutine calls

	mu  sync.Mutex
	err error // the first that did not return
}

// do is for the job's goroutine.
func (c *callbacks) do(what string, fn func()) {
	if c.failed() == nil {
		c.note(c.worker.Do(what, func() error { fn(); return nil }))
	}
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

// Sound tells why the run must not go on: the file is another one, or code of the host
// did not return.
func (s *session) Sound() error {
	if err := s.callbacks.failed(); err != nil {
		return err
	}
	return s.unmoved()
}
