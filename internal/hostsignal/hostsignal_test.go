//go:build go1.25

package hostsignal_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/hostsignal"
)

// TestNow: a function that is late does not keep whoever asks; its answer before stands for
// Limit, and is then that of nobody.
func TestNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, late, ended := 0, time.Duration(0), false
		a := hostsignal.New(func(ctx context.Context) int {
			n++
			answer := n
			if late > 0 {
				time.Sleep(late)
				ended = ctx.Err() != nil
			}
			return answer
		}, nil)
		defer a.Close()
		want := func(want int, wantFresh bool) {
			t.Helper()
			began := time.Now()
			got, fresh := a.Now()
			if got != want || fresh != wantFresh || time.Since(began) > 2*time.Millisecond {
				t.Errorf("%d, fresh %v, after %v; want %d, %v", got, fresh, time.Since(began), want, wantFresh)
			}
		}
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }

		want(1, true)
		want(2, true)
		late = 3 * time.Second
		want(2, false)
		pass(500 * time.Millisecond)
		want(2, false)
		pass(time.Second)
		want(0, false)
		pass(2 * time.Second)
		want(3, true) // late, and all the same an answer
		if !ended {
			t.Error("the context has not ended")
		}
		late = 0
		want(4, true)
	})
}

// TestBroken: a function that does not return is told once, and nobody hangs on it.
func TestBroken(t *testing.T) {
	for name, ask := range map[string]func(context.Context) int{
		"panic":  func(context.Context) int { panic("no") },
		"Goexit": func(context.Context) int { runtime.Goexit(); return 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			var told []error
			a := hostsignal.New(ask, func(err error) { told = append(told, err) })
			for range 3 {
				if got, fresh := a.Now(); got != 0 || fresh {
					t.Errorf("%s: %d, %v", name, got, fresh)
				}
			}
			a.Close()
			synctest.Wait()
			if len(told) != 1 || !errors.Is(told[0], chunkfill.ErrHostCode) {
				t.Errorf("%s: told %v", name, told)
			}
		})
	}
}
