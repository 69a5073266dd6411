package looptest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/throttle"
)

// Run is one run of the job of a [DB]: what the loop asks of a database.
type Run struct {
	around
	id    string
	pass  int
	of    string // whose range it walks
	upper int64
	end   int64 // of the latest batch
	began bool  // whether the table had a row when the job began

	shown chunkfill.Checkpoint
	asked chunkfill.Request
}

// around is what a run asks and tells beside its batches.
type around struct {
	conn
	shared bool
	ended  []bool // by Leave, and whether the database was gone
	waits  map[throttle.Reason]time.Duration
}

// conn is a run's way to the database.
type conn struct{ db *DB }

// position is a place in the table: after the row of a key.
func position(key int64) string { return "after " + strconv.FormatInt(key, 10) }

// before is less than the key of any row.
const before = -1 << 62

func keyOf(position string) (int64, error) {
	if position == "" {
		return before, nil
	}
	text, ok := strings.CutPrefix(position, "after ")
	if !ok {
		return 0, fmt.Errorf("%q is not a position", position)
	}
	return strconv.ParseInt(text, 10, 64)
}

// enter begins a verb: it fails where the context has ended or a fault stands.
func (c conn) enter(ctx context.Context, verb Verb) error {
	if c.db.Before != nil {
		c.db.Before(verb)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	return c.db.fault(verb, AtOnce)
}

// transact makes one hold: whole, or not at all.
func (c conn) transact(ctx context.Context, verb Verb, write func(*State) error) error {
	if err := c.enter(ctx, verb); err != nil {
		return err
	}
	db := c.db
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.held {
		return errLocked
	}

	next := db.state.clone()
	if err := write(&next); err != nil {
		return err
	}
	for _, when := range []When{Midway, AtCommit} {
		if err := db.fault(verb, when); err != nil {
			return err
		}
	}
	db.state = next
	_ = db.fault(verb, AfterCommit) // it is done all the same
	return nil
}

// Take makes this run the owner of the job.
func (r *Run) Take(ctx context.Context) (cp chunkfill.Checkpoint, err error) {
	err = r.transact(ctx, Take, func(s *State) (err error) {
		if s.Known && s.Record.Phase == chunkfill.Done {
			cp = s.Record
			return nil
		}
		cp, err = r.taken(s)
		s.Record = cp
		cp.Request = s.asked()
		return err
	})
	if err != nil {
		return chunkfill.Checkpoint{}, err
	}

	r.id, r.pass = cp.RunID, cp.Pass
	return cp, r.adopt(cp)
}

// taken is the record of the job as this run takes it over.
func (r *Run) taken(s *State) (chunkfill.Checkpoint, error) {
	cp, name := s.Record, "resumed"
	if !s.Known {
		name, s.Known = "started", true
		cp = chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Name: "job", Table: "t", Left: -1, Request: s.Record.Request}}
	}
	cp, err := r.db.steps().Taken(cp)
	if err != nil {
		return cp, err
	}
	if name == "started" && r.db.steps()[0].Kind == chunkfill.Walk {
		cp = entered(s, cp)
	}

	r.db.runs++
	cp.RunID, cp.Reason, cp.Error = fmt.Sprintf("run %d", r.db.runs), "", ""
	s.event(name, "")
	return cp, nil
}

// entered is a record with the bounds of its walk.
func entered(s *State, cp chunkfill.Checkpoint) chunkfill.Checkpoint {
	cp.Entered = true
	if n := len(s.Rows); n > 0 {
		cp.Lower, cp.Upper = position(s.Rows[0].Key-1), position(s.Rows[n-1].Key)
	}
	return cp
}

// adopt goes on with the range of a record.
func (r *Run) adopt(cp chunkfill.Checkpoint) (err error) {
	r.of, r.began = cp.Of, cp.Upper != ""
	if r.upper, err = keyOf(cp.Upper); err == nil {
		r.end, err = keyOf(cp.Cursor)
	}
	return err
}

// save writes the record, if it is the one that this run saved last or the next.
func (r *Run) save(s *State, from, to chunkfill.Checkpoint) (chunkfill.Request, error) {
	stored := s.Record
	if stored.RunID != r.id || stored.Of != from.Of || from.Batches < stored.Batches || from.Batches > stored.Batches+1 {
		return chunkfill.Request{}, fmt.Errorf("%w: it is that of %s", chunkfill.ErrLostOwner, stored.RunID)
	}
	if from.Of != to.Of {
		if s.Ranges == nil {
			s.Ranges = map[string]chunkfill.RangeRecord{}
		}
		s.Ranges[from.Of] = from.RangeRecord
		delete(s.Ranges, to.Of)
	}
	to.Request = stored.Request
	s.Record = to
	return s.asked(), nil
}

// Save writes a change of state and its event.
func (r *Run) Save(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (request chunkfill.Request, err error) {
	err = r.transact(ctx, Save, func(s *State) (err error) {
		e.At = time.Now()
		s.Events = append(s.Events, e)
		request, err = r.save(s, from, to)
		return err
	})
	return request, err
}

// Enter finds the bounds of the walk that stands.
func (r *Run) Enter(ctx context.Context, cp chunkfill.Checkpoint) (chunkfill.Checkpoint, error) {
	if err := r.enter(ctx, Enter); err != nil {
		return cp, err
	}
	state := r.db.State()
	cp = entered(&state, cp)
	r.pass = cp.Pass
	return cp, r.adopt(cp)
}

// Ready is what the job waits for.
func (r *Run) Ready(ctx context.Context, _ chunkfill.Checkpoint) (reason throttle.Reason, err error) {
	r.db.set(func() { reason = r.db.unready })
	return reason, ctx.Err()
}

// Once puts something under the name of the step into the schema.
func (r *Run) Once(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error) {
	err := r.transact(ctx, Once, func(s *State) error {
		if s.asked() != from.Request {
			return errAgain
		}
		s.Schema = append(s.Schema, from.Step)
		to.Takebacks = append(slices.Clone(to.Takebacks), chunkfill.Takeback{Step: from.Step, Statements: []string{"take " + from.Step + " away"}})
		return r.saveEvent(s, from, &to, e)
	})
	return to, err
}

// TakeBack takes away what the last step that can be taken back has put there.
func (r *Run) TakeBack(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error) {
	err := r.transact(ctx, TakeBack, func(s *State) error {
		if n := len(from.Takebacks); n > 0 {
			last := from.Takebacks[n-1]
			s.Schema = slices.DeleteFunc(slices.Clone(s.Schema), func(name string) bool { return name == last.Step })
			to.Takebacks = slices.Clone(from.Takebacks[:n-1])
		}
		if err := r.saveEvent(s, from, &to, e); err != nil {
			return err
		}
		for _, of := range loop.LaterRanges(to) {
			r.undo(s, of)
		}
		return nil
	})
	return to, err
}

// undo forgets a range. What its walk did is gone with that into which it did it.
func (r *Run) undo(s *State, of string) {
	delete(s.Ranges, of)
	s.Quarantine = slices.DeleteFunc(s.Quarantine, func(q chunkfill.BadRow) bool { return q.Step == of })
	for i := range s.Rows {
		switch row := &s.Rows[i]; of {
		case r.db.walked(0):
			row.Done = 0
		case r.db.walked(1):
			row.Later = 0
		}
	}
}

func (r *Run) saveEvent(s *State, from chunkfill.Checkpoint, to *chunkfill.Checkpoint, e chunkfill.Event) (err error) {
	e.At = time.Now()
	s.Events = append(s.Events, e)
	to.Request, err = r.save(s, from, *to)
	return err
}

// Asked reads what is asked, whoever writes.
func (r *Run) Asked(ctx context.Context) (chunkfill.Request, error) {
	if err := r.enter(ctx, Asked); err != nil {
		return chunkfill.Request{}, err
	}
	state := r.db.State()
	if state.Record.RunID != r.id {
		return chunkfill.Request{}, fmt.Errorf("%w: it is that of %s", chunkfill.ErrLostOwner, state.Record.RunID)
	}
	return state.asked(), nil
}

// Publish keeps what is shown.
func (r *Run) Publish(cp chunkfill.Checkpoint, request chunkfill.Request) {
	r.db.set(func() { r.shown, r.asked = cp, request })
}

// Shown returns what was published last.
func (r *Run) Shown() (cp chunkfill.Checkpoint, request chunkfill.Request) {
	r.db.set(func() { cp, request = r.shown, r.asked })
	return cp, request
}

// Class tells what an error asks for.
func (r *Run) Class(err error) loop.Class { return classOf(err) }

// Waited adds up what the time went into.
func (a *around) Waited(why throttle.Reason, d time.Duration) {
	a.db.set(func() {
		if a.waits == nil {
			a.waits = map[throttle.Reason]time.Duration{}
		}
		a.waits[why] += d
	})
}

// Waits returns what the time of this run went into that did not hold the writer.
func (a *around) Waits() (waits map[throttle.Reason]time.Duration) {
	a.db.set(func() { waits = maps.Clone(a.waits) })
	return waits
}

// Sound tells whether the database is still there.
func (a *around) Sound() error { return a.enter(context.Background(), Sound) }

// Stopped reports whether there is a stop file.
func (a *around) Stopped() (why string, stands bool) {
	a.db.set(func() {
		if stands = a.db.stop != nil; stands {
			why = *a.db.stop
		}
	})
	return why, stands
}

// Waiting reports whether a live write waits.
func (a *around) Waiting() (yes bool) {
	a.db.set(func() { yes = len(a.db.queue) > 0 })
	return yes
}

// GiveWay lets a live write through.
func (a *around) GiveWay(ctx context.Context) (quiet bool, err error) {
	if err := a.enter(ctx, GiveWay); err != nil {
		return false, err
	}
	a.db.set(func() { quiet = !a.db.noisy })
	if !quiet {
		return false, sleep(ctx, time.Millisecond)
	}
	return true, nil
}

// GapAsked reports whether a command of another process wants to write.
func (a *around) GapAsked() (yes bool) {
	a.db.set(func() { yes = a.db.gap })
	return yes
}

// WALBytes is how much of a log stands in the way.
func (a *around) WALBytes() (n int64) {
	a.db.set(func() { n = a.db.wal })
	return n
}

// Free is the free space.
func (a *around) Free() (n int64) {
	a.db.set(func() { n = a.db.free })
	return n
}

// After has nothing to do but to fail where a fault stands.
func (a *around) After(ctx context.Context, _ loop.Rest, _ loop.Outcome) error {
	return a.enter(ctx, After)
}

// Idle likewise.
func (a *around) Idle(ctx context.Context, _ loop.Rest, _ loop.Idle) error { return a.enter(ctx, Idle) }

// Share notes what it is told.
func (a *around) Share(shared bool) { a.db.set(func() { a.shared = shared }) }

// Shared returns what Share was told last.
func (a *around) Shared() (yes bool) {
	a.db.set(func() { yes = a.shared })
	return yes
}

// Leave notes that the run has ended.
func (a *around) Leave(_ context.Context, gone bool) { a.ended = append(a.ended, gone) }

// Ended returns what each call of Leave was told of a database that is gone.
func (a *around) Ended() []bool { return a.ended }

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
