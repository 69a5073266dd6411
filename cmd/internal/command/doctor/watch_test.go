package doctor

import (
	"errors"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

// TestWhoKeepsItsLock: only who has a lock at each look has it for long. Planted and caught:
// whoever had it at the last look; a writer whose place another has taken.
func TestWhoKeepsItsLock(t *testing.T) {
	one, other := system.Process{PID: 1}, system.Process{PID: 2}
	at := func(writer *system.Process, readers ...system.Process) watched {
		w := watched{writer: writer, readers: map[int]system.Process{}}
		for _, r := range readers {
			w.readers[r.PID] = r
		}
		return w
	}

	w := at(&one, one, other)
	w.keep(at(&system.Process{PID: 1}, other))
	if len(w.readers) != 1 || w.readers[2] != other || w.writer == nil {
		t.Errorf("after two looks: %+v", w)
	}
	w.keep(at(&other, one, other))
	if len(w.readers) != 1 || w.readers[2] != other || w.writer != nil {
		t.Errorf("after three looks: %+v", w)
	}
}

// TestWriter: who has the write lock all the time is a problem unless it commits, and where
// not all can be seen nobody is not "nobody". Planted and caught: a writer that commits
// reported.
func TestWriter(t *testing.T) {
	one := &system.Process{PID: 1}
	for want, w := range map[status]watched{
		warning: {writer: one, seesAll: true},
		good:    {writer: one, seesAll: true, commits: true},
	} {
		wantStatus(t, w, want)
	}
	wantStatus(t, watched{seesAll: true}, good)
	wantStatus(t, watched{}, unknown)
	wantStatus(t, watched{err: errors.ErrUnsupported, seesAll: true}, unknown)
}

func wantStatus(t *testing.T, w watched, want status) {
	t.Helper()
	found, err := aboutWriter(t.Context(), &patient{watched: w})
	if err != nil || len(found) != 1 || found[0].Status != want || (found[0].Advice != nil) != (want == warning) {
		t.Errorf("%+v: %+v, %v; want %s", w, found, err, want)
	}
}
