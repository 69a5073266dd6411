package looptest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/throttle"
)

// Row is one of the table. The job rewrites it, once.
type Row struct {
	Key    int64
	Done   int  // how often the job has rewritten it; its todo is that it has not
	Later  int  // how often the second walk that has a range of its own has
	Bad    bool // the job fails on it
	Newest bool // that a job of two walks leaves for the second
}

// State is all that is stored.
type State struct {
	Rows       []Row // by key
	Known      bool  // whether there is a record
	Record     chunkfill.Checkpoint
	Ranges     map[string]chunkfill.RangeRecord // of the steps other than the one that stands
	Schema     []string                         // what steps have put there
	Events     []chunkfill.Event
	Quarantine []chunkfill.BadRow
	All        chunkfill.Request // what is asked of all jobs
}

// asked is what is asked of the job: its own request, or that of all jobs.
func (s *State) asked() chunkfill.Request {
	own := s.Record.Request
	if own.Control != chunkfill.NoControl || s.All.Control == chunkfill.NoControl {
		return own
	}
	own.Control, own.By, own.Reason, own.All = s.All.Control, s.All.By, s.All.Reason, true
	return own
}

// DB is a database in memory with one table and one job, which any number of runs may
// open. Set the exported fields before the first run. It is safe for concurrent use.
type DB struct {
	Twice bool       // the job makes two walks, the second over the newest rows
	Steps loop.Steps // of the job; by default as Twice says
	Reach int        // how many rows Bound lets a batch have; 0 for as many as there are

	RowTime, CommitTime time.Duration // what they take
	CountTime           time.Duration // a read of Left takes

	// Before, if set, is called as each verb begins, by the goroutine of the loop.
	Before func(Verb)

	mu     sync.Mutex
	state  State
	runs   int
	latest *Run
	held   bool           // by a batch that is under way
	queue  []func(*State) // live writes that wait for it
	faults []*standing

	others    bool // another connection writes between the batches
	computing bool // Bound waits
	noisy     bool // one live write comes after the other
	gap       bool
	wal, free int64
	unready   throttle.Reason
	stop      *string // what the stop file says; nil if there is none
}

// standing is a fault, and how often it will still come.
type standing struct {
	Fault
	times int
}

// plenty is more free space than any guard asks for.
const plenty = 1 << 50

// New returns a database whose table has rows with these keys.
func New(keys ...int64) *DB {
	db := &DB{free: plenty}
	for _, key := range keys {
		db.state.insert(Row{Key: key})
	}
	return db
}

// Keys are those from 1 to n.
func Keys(n int) []int64 {
	keys := make([]int64, n)
	for i := range keys {
		keys[i] = int64(i + 1)
	}
	return keys
}

// Open begins a run of the job.
func (db *DB) Open() *Run {
	r := &Run{around: around{conn: conn{db}}, pass: 1}
	db.set(func() { db.latest = r })
	return r
}

// Latest returns the run that was begun last.
func (db *DB) Latest() (r *Run) {
	db.set(func() { r = db.latest })
	return r
}

// steps are those of the job.
func (db *DB) steps() loop.Steps {
	switch {
	case db.Steps != nil:
		return db.Steps
	case db.Twice:
		return loop.WalkTwice
	}
	return loop.WalkVerify
}

// walked is the range of the first walk, 0, or of the next that has one of its own, 1; ""
// if there is none.
func (db *DB) walked(n int) string {
	for _, step := range db.steps() {
		if step.Kind != chunkfill.Walk || step.Of != "" {
			continue
		}
		if n == 0 {
			return step.Name
		}
		n--
	}
	return ""
}

// State returns a copy of all that is stored.
func (db *DB) State() State {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.state.clone()
}

// Write is a live write. While a batch has the lock it waits for its end, and the caller
// does not.
func (db *DB) Write(change func(*State)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.held {
		db.queue = append(db.queue, change)
		return
	}
	change(&db.state)
}

// Insert adds a row that is to be done.
func (db *DB) Insert(r Row) { db.Write(func(s *State) { s.insert(r) }) }

// Delete takes rows away.
func (db *DB) Delete(keys ...int64) {
	db.Write(func(s *State) {
		s.Rows = slices.DeleteFunc(s.Rows, func(r Row) bool { return slices.Contains(keys, r.Key) })
	})
}

// Spoil makes the job fail on rows, or no longer.
func (db *DB) Spoil(bad bool, keys ...int64) {
	db.Write(func(s *State) {
		for i := range s.Rows {
			if slices.Contains(keys, s.Rows[i].Key) {
				s.Rows[i].Bad = bad
			}
		}
	})
}

// Ask leaves a request: one that is stored apart from what a batch writes.
func (db *DB) Ask(r chunkfill.Request) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.state.Record.Request = r
}

// AskAll leaves a request for all jobs, or takes it back.
func (db *DB) AskAll(r chunkfill.Request) { db.set(func() { db.state.All = r }) }

// SetUnready has the job wait for something until it is "".
func (db *DB) SetUnready(reason throttle.Reason) { db.set(func() { db.unready = reason }) }

// SetStop puts a stop file beside the database, which says why; nil takes it away.
func (db *DB) SetStop(why *string) { db.set(func() { db.stop = why }) }

// Inject has a verb fail so many times; a negative number is until Lift.
func (db *DB) Inject(f Fault, times int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.faults = append(db.faults, &standing{f, times})
}

// Lift takes all faults back.
func (db *DB) Lift() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.faults = nil
}

// Compute has Bound wait, or no longer.
func (db *DB) Compute(on bool) { db.set(func() { db.computing = on }) }

// Noise has one live write come after the other, or no longer.
func (db *DB) Noise(on bool) { db.set(func() { db.noisy = on }) }

// Others has another connection write between the batches, or no longer.
func (db *DB) Others(on bool) { db.set(func() { db.others = on }) }

// Gap has a command of another process ask for a gap, or no longer.
func (db *DB) Gap(on bool) { db.set(func() { db.gap = on }) }

// SetWAL sets how much of the write-ahead log stands in the way.
func (db *DB) SetWAL(bytes int64) { db.set(func() { db.wal = bytes }) }

// SetFree sets the free space.
func (db *DB) SetFree(bytes int64) { db.set(func() { db.free = bytes }) }

func (db *DB) set(change func()) {
	db.mu.Lock()
	defer db.mu.Unlock()
	change()
}

// fault uses a fault up, if one stands for that moment. mu is held.
func (db *DB) fault(verb Verb, when When) error {
	for _, f := range db.faults {
		if f.Verb == verb && f.When == when && f.times != 0 {
			f.times--
			return failure(f.Fault)
		}
	}
	return nil
}

// failure is the error of a fault. That of a lost owner is the one that a host knows.
func failure(f Fault) error {
	if f.Class == loop.Lost {
		return fmt.Errorf("%w: %w", chunkfill.ErrLostOwner, &Error{f})
	}
	return &Error{f}
}

// classOf tells what an error asks for.
func classOf(err error) loop.Class {
	var injected *Error
	switch {
	case errors.Is(err, chunkfill.ErrLostOwner):
		return loop.Lost
	case errors.Is(err, errTooManyBad):
		return loop.Other
	case errors.Is(err, errBad):
		return loop.Row
	case errors.Is(err, errAgain):
		return loop.Again
	case errors.Is(err, errLocked):
		return loop.Busy
	case errors.As(err, &injected):
		return injected.Class
	}
	return loop.Other
}

var (
	errBad        = errors.New("the job fails on this row")
	errTooManyBad = errors.New("too many rows fail")
	errAgain      = errors.New("the rows up to there are gone")
	errLocked     = errors.New("another run is writing")
)

func (s *State) clone() State {
	c := *s
	c.Rows, c.Events, c.Quarantine = slices.Clone(s.Rows), slices.Clone(s.Events), slices.Clone(s.Quarantine)
	c.Schema, c.Ranges = slices.Clone(s.Schema), maps.Clone(s.Ranges)
	return c
}

func (s *State) insert(r Row) {
	i, found := slices.BinarySearchFunc(s.Rows, r.Key, func(r Row, key int64) int { return cmp.Compare(r.Key, key) })
	if !found {
		s.Rows = slices.Insert(s.Rows, i, r)
	}
}

func (s *State) quarantined(of string, key int64) bool {
	return slices.ContainsFunc(s.Quarantine, func(q chunkfill.BadRow) bool { return q.Step == of && q.Key == position(key) })
}

func (s *State) event(name, detail string) {
	s.Events = append(s.Events, chunkfill.Event{At: time.Now(), Event: name, By: "memory", Detail: detail})
}
