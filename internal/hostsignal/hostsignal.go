// Package hostsignal asks functions of the host that need not answer in time, such as one
// that asks a server for its load. Whoever asks waits for no more than a moment.
package hostsignal

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill"
)

const (
	// patience is how long Now waits for an answer: most functions read a number.
	patience = 2 * time.Millisecond

	// Limit is how long a function may take. Its context ends then, and its answer before
	// no longer stands.
	Limit = time.Second
)

// Asker asks one function, once at a time, on a goroutine of its own. It belongs to one
// goroutine itself. Close it after the last question.
type Asker[T any] struct {
	ask    func(context.Context) T
	broken func(error) // told once, when the function did not return

	asks    chan struct{}
	answers chan T
	end     context.CancelFunc

	asked   time.Time
	pending bool // it has been asked and has not answered
	last    T
}

// New returns an Asker. broken is called, from another goroutine, when ask panics or ends
// its goroutine; it is answered by the zero value from then on.
func New[T any](ask func(context.Context) T, broken func(error)) *Asker[T] {
	return &Asker[T]{ask: ask, broken: broken}
}

// Now asks, and returns the answer. One that has not come yet is the answer before, and
// not fresh; after Limit it is the zero value.
func (a *Asker[T]) Now() (answer T, fresh bool) {
	if a.asks == nil {
		a.start()
	}

	wait := time.Duration(0)
	if !a.pending {
		a.asks <- struct{}{}
		a.asked, a.pending, wait = time.Now(), true, patience
	}
	if answer, ok := a.within(wait); ok {
		a.last, a.pending = answer, false
		return answer, true
	}
	if time.Since(a.asked) >= Limit {
		var none T
		a.last = none
	}
	return a.last, false
}

func (a *Asker[T]) start() {
	ctx, end := context.WithCancel(context.Background())
	a.asks, a.answers, a.end = make(chan struct{}, 1), make(chan T, 1), end
	go a.answer(ctx, a.asks, a.answers)
}

// within waits for the answer, but no longer than that.
func (a *Asker[T]) within(wait time.Duration) (answer T, ok bool) {
	// Most answer at once, and a timer costs more than that.
	for range 3 {
		select {
		case answer = <-a.answers:
			return answer, true
		default:
			runtime.Gosched()
		}
	}
	if wait <= 0 {
		return answer, false
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case answer = <-a.answers:
		return answer, true
	case <-timer.C:
		return answer, false
	}
}

// answer makes the calls, for as long as they return.
func (a *Asker[T]) answer(ctx context.Context, asks <-chan struct{}, answers chan<- T) {
	calling := false
	defer func() {
		p := recover()
		switch {
		case p != nil:
			a.broken(fmt.Errorf("%w: panic: %v", chunkfill.ErrHostCode, p))
		case calling:
			a.broken(fmt.Errorf("%w: it ended its goroutine (runtime.Goexit)", chunkfill.ErrHostCode))
		}
	}()

	for range asks {
		calling = true
		answer := a.call(ctx)
		calling = false
		answers <- answer
	}
}

func (a *Asker[T]) call(ctx context.Context) T {
	limited, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	return a.ask(limited)
}

// Close ends the context of a call that is under way, and the goroutine when that returns.
func (a *Asker[T]) Close() {
	if a.asks != nil {
		a.end()
		close(a.asks)
		a.asks = nil
	}
}
