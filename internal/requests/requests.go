// Package requests listens for what is asked of jobs at rest: what needs the code of a job,
// and so a process that has it. A job at work hears for itself.
package requests

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

const (
	// How often a listener looks up: what is asked is begun within a quarter of a second. Where
	// nothing was written since, a look is one PRAGMA on a connection of its own.
	every = 200 * time.Millisecond

	// What could not be carried out is tried again after that.
	patience = time.Second
)

// Carrier carries out what is asked.
type Carrier interface {
	// Rests reports whether this process is not at work on a job. It is called often.
	Rests(name string) bool

	// CarryOut does what is asked of a job, and returns when it is done. It takes the request
	// away before it begins; where it returns an error the request may stand still.
	CarryOut(ctx context.Context, job jobs.Job, p record.Pending) error
}

// Listener has one goroutine for all the jobs that it listens for, and one for each request
// that is being carried out.
type Listener struct {
	reader  *sql.DB
	carrier Carrier

	life context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	jobs   map[string]jobs.Job
	begun  bool
	busy   map[string]bool      // something is being carried out for that job
	notYet map[string]time.Time // what failed is not tried again before
}

// New returns a listener that reads by a pool of read-only connections, and hears nothing if
// that is nil. It ends with ctx, and Wait waits for that.
func New(ctx context.Context, reader *sql.DB, carrier Carrier) *Listener {
	life, stop := context.WithCancel(ctx)
	return &Listener{reader: reader, carrier: carrier, life: life, stop: stop,
		jobs: map[string]jobs.Job{}, busy: map[string]bool{}, notYet: map[string]time.Time{}}
}

// Listen begins to listen for a job, under its name, or goes on with another definition of it.
func (l *Listener) Listen(job jobs.Job) {
	if l.reader == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil {
		return
	}
	l.jobs[job.Spec().Name] = job
	if !l.begun {
		l.begun = true
		l.all.Add(1)
		go l.listen()
	}
}

// Close ends the listener and waits for what it does. It may be called again.
func (l *Listener) Close() {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.all.Wait()
}

// listen looks up until the listener is closed.
func (l *Listener) listen() {
	defer l.all.Done()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	e := ear{reader: l.reader}
	defer e.close()
	for {
		select {
		case <-l.life.Done():
			return
		case <-ticker.C:
		}
		if l.anyRests() && e.news(l.life) {
			l.hear(&e)
		}
	}
}

// anyRests reports whether there is a job that does not hear for itself.
func (l *Listener) anyRests() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.jobs {
		if !l.busy[name] && l.carrier.Rests(name) {
			return true
		}
	}
	return false
}

// hear has what is asked carried out.
func (l *Listener) hear(e *ear) {
	pending, err := e.requests(l.life)
	if err != nil {
		return // it is asked again
	}
	for _, p := range pending {
		if !l.begin(p) {
			e.again = true
		}
	}
}

// begin carries a request out in the background. It is false for one that has to wait.
func (l *Listener) begin(p record.Pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	job, ours := l.jobs[p.Name]
	switch {
	case !ours, p.Request == record.RequestSwap: // a run of the job hears of that
		return true
	case l.life.Err() != nil || l.busy[p.Name] || time.Now().Before(l.notYet[p.Name]) || !l.carrier.Rests(p.Name):
		return false
	}

	l.busy[p.Name] = true
	l.all.Add(1)
	go func() {
		defer l.all.Done()
		err := l.carrier.CarryOut(l.life, job, p)
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.busy, p.Name)
		if err != nil {
			l.notYet[p.Name] = time.Now().Add(patience)
		}
	}()
	return false // whether it was carried out the next look tells
}

// ear is the connection on which a listener looks whether anything was written.
type ear struct {
	reader *sql.DB
	conn   *sql.Conn

	version int64 // PRAGMA data_version as of the latest look at the requests
	again   bool  // they are to be looked at all the same
}

// news reports whether something may be asked that was not at the latest look.
func (e *ear) news(ctx context.Context) bool {
	if e.conn == nil {
		conn, err := e.reader.Conn(ctx)
		if err != nil {
			return false
		}
		e.conn, e.again = conn, true // another connection counts otherwise
	}

	var version int64
	if err := e.conn.QueryRowContext(ctx, "PRAGMA main.data_version").Scan(&version); err != nil {
		e.close()
		return false
	}
	news := e.again || version != e.version
	e.version, e.again = version, false
	return news
}

// requests reads what is asked.
func (e *ear) requests(ctx context.Context) ([]record.Pending, error) {
	pending, err := record.Requests(ctx, e.conn)
	if err != nil {
		e.close()
	}
	return pending, err
}

func (e *ear) close() {
	if e.conn != nil {
		_ = e.conn.Close() // of the reader's own pool, which is closed with the engine
		e.conn = nil
	}
}
