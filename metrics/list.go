package metrics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

const (
	// How long a scrape waits for the list of jobs.
	patience = 250 * time.Millisecond
	// A list that is younger is not read again.
	freshFor = time.Second
)

// list is the jobs that are stored in the database, as they were last read.
type list struct {
	mu    sync.Mutex
	jobs  []engine.Status
	at    time.Time     // when that was read
	under chan struct{} // closed when the read that is under way ends; nil if none is
}

// read returns the jobs, and whether they are fresh. Of several scrapes at once one reads,
// and a read that hangs is waited for by each for a moment and never begun again.
func (l *list) read(eng *engine.Engine) (jobs []engine.Status, fresh bool) {
	l.mu.Lock()
	if time.Since(l.at) < freshFor {
		defer l.mu.Unlock()
		return l.jobs, true
	}
	under := l.under
	if under == nil {
		under = make(chan struct{})
		l.under = under
		go l.fetch(eng, under)
	}
	l.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-under:
	case <-timer.C:
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs, time.Since(l.at) < freshFor+patience
}

func (l *list) fetch(eng *engine.Engine, under chan struct{}) {
	defer close(under)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	jobs, err := eng.List(ctx)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.under = nil
	switch {
	case err == nil:
		l.jobs, l.at = jobs, time.Now()
	case errors.Is(err, engine.ErrClosed): // nobody looks after them here any more
		l.jobs, l.at = nil, time.Time{}
	}
}
