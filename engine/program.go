package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// program is a job of more steps than a walk and its verification: one that changes the
// schema. Its steps follow from the job's definition alone.
type program struct {
	definition string // all that makes the job what it is; part of its identity
	wrong      error  // what cannot be meant, of the rest
	steps      []step

	// present reports whether what the job is to make is there already; nil for a job that cannot tell.
	present func(ctx context.Context, q lite.Querier) (bool, error)

	// rehearse makes the changes of the schema, in a transaction that is rolled back, before
	// anything of a new job is written, and returns what to read then; nil where there is
	// nothing to try.
	rehearse func(ctx context.Context, c lite.Querier) (look func(ctx context.Context, e *Engine) error, err error)

	// use is told the engine, before any step. close closes what steps have opened, when a run ends.
	use   func(*Engine)
	close func(context.Context) error

	notes  func(context.Context) []string                                         // what a dry run says of it besides; or nil
	sample func(ctx context.Context, q lite.Querier, row lite.Range) (int, error) // what a dry run does to a row, where that is not one statement; or nil
	volume string                                                                 // a file on another disk that the job writes, whose free space counts, too; or ""
}

// lookStep is the one step of a job whose work somebody else has done.
const lookStep = "look"

// onlyLook is the program of a job for which there is nothing to do.
func (p *program) onlyLook() *program {
	look := step{Step: chunkfill.Step{Name: lookStep, Kind: chunkfill.Once}, once: func(ctx context.Context, q lite.Querier) (made, error) {
		there, err := p.present(ctx, q)
		if err == nil && !there {
			err = fmt.Errorf("%w: what the job is to make was there when it began, and is gone; forget the job, and start it again", ErrTableChanged)
		}
		return made{}, err
	}}
	return &program{definition: p.definition, present: p.present, steps: []step{look}}
}

// step is one of a program.
type step struct {
	chunkfill.Step

	// before is what a step of kind Once makes elsewhere, idempotent, before its hold.
	before func(ctx context.Context) error
	// once makes a step of kind Once, inside the hold that records it.
	once func(ctx context.Context, c lite.Querier) (made, error)

	// request is that for a step of kind Once, which goes when the step is made. Where waits says so the
	// step is not made before. Until then meanwhile is called in holds of its own, as soon as due says
	// that there is something to do, or the schema is another.
	request   string
	waits     func() bool
	due       func(ctx context.Context, q lite.Querier) (bool, error)
	meanwhile func(ctx context.Context, c lite.Querier) error

	// rows is what a walk does to its rows, and Todo and Where are those of the
	// verification, too. Name is left out.
	rows jobs.Spec

	// also is a condition that no row of another table may meet: the verification counts those that
	// do among what is left. Nil for none.
	also *jobs.Spec

	// insert has the walk copy rows instead.
	insert *lite.Insert

	// back are the images from which a walk over them puts rows back instead.
	back *images.Set

	// source has the walk go over what it hands out, in place of the rows of a table.
	source source

	// counts returns what is left to do beyond what meets a condition of a row.
	counts func(ctx context.Context, e *Engine) (int64, error)

	// load fills in what of the above follows from the database as it is when it is the
	// step's turn; nil where nothing does.
	load func(ctx context.Context, q lite.Querier, to *step) error

	// intact looks, when the schema has changed, whether the step can go on; nil for a step to which
	// nothing matters but the columns that it names. Where it cannot, abandon is run, which
	// keeps the application from paying for a job that is stuck.
	intact  func(ctx context.Context, q lite.Querier) error
	abandon []string

	// apply does to a stretch of rows what takes more than one statement; nil for the one
	// statement of rows.
	apply func(ctx context.Context, c lite.Querier, s stretch) (changed int, err error)

	// precopy makes rows durable elsewhere before a batch may touch them. It returns how far it came, and
	// may be called again for the same rows. The condition of rows, or apply, then keeps the batch to
	// what is as precopy saw it; apply may return errStale to have the rows copied again.
	precopy func(ctx context.Context, next ahead) (lite.Pos, error)
}

// ahead is what precopy is given: up to n rows after a position and up to another, those that meet
// the conditions.
type ahead struct {
	table       lite.Table
	after, upto lite.Pos
	n           int
	where       []string
}

// stretch is what apply is given.
type stretch struct {
	lite.Range
	table     lite.Table
	statement lite.Statement
	where     []string // its conditions
	again     bool     // some of its rows may have been done in an earlier pass
}

// made is what a step of kind Once has done.
type made struct {
	again bool              // only a part of it, which is to stand; the step is made again for the rest
	back  []string          // statements that undo it, idempotent
	part  []string          // those to be repeated before, until they change nothing
	pins  map[string]string // by later step: what its table looks like now; see plan.shape

	settled bool // all that was made so far is the application's: nothing of it is taken back
}

// programmed is a job that is a program.
type programmed interface{ program() *program }

// programs are how jobs of the kinds that change the schema become programs.
var programs = map[jobs.Kind]func(jobs.Job) *program{}

// programOf returns the program of a job, nil for one that only rewrites rows.
func programOf(job jobs.Job) *program {
	if newProgram := programs[job.Spec().Kind]; newProgram != nil {
		return newProgram(job)
	}
	if p, ok := job.(programmed); ok {
		return p.program()
	}
	return nil
}

// end closes what steps have opened.
func (p *program) end(ctx context.Context) error {
	if p == nil || p.close == nil {
		return nil
	}
	return p.close(context.WithoutCancel(ctx))
}

// wrapped is the program of a job of a type of the host's own that says it is of a kind whose fields it hides.
func wrapped(job jobs.Job) *program {
	return &program{wrong: fmt.Errorf("a job of kind %s must be one of package jobs, and is a %T", job.Spec().Kind, job)}
}

// list is the steps as the loop has them.
func (p *program) list() loop.Steps {
	list := make(loop.Steps, len(p.steps))
	for i, s := range p.steps {
		list[i] = s.Step
	}
	return list
}

// find returns the step of a name.
func (p *program) find(name string) *step {
	for i := range p.steps {
		if p.steps[i].Name == name {
			return &p.steps[i]
		}
	}
	return nil
}

// planStep holds a walk of a program against the database as it is now.
func (e *Engine) planStep(ctx context.Context, q lite.Querier, p plan, walk string) (plan, error) {
	s := p.program.find(walk)
	if s == nil {
		return p, fmt.Errorf("%w: it has no step %s", ErrJobChanged, walk)
	}
	if s.load != nil {
		loaded := *s
		if err := s.load(ctx, q, &loaded); err != nil {
			return p, fmt.Errorf("step %s: %w", walk, err)
		}
		s = &loaded
	}
	name := p.spec.Name
	p.step, p.spec = s, s.rows
	p.spec.Name = name

	var err error
	if p.table, err = lite.LoadTable(ctx, q, p.spec.Table); err != nil {
		return p, fmt.Errorf("step %s: %w", walk, err)
	}
	if err := p.check(ctx, q); err != nil {
		return p, fmt.Errorf("step %s: %w", walk, err)
	}
	p.pin = p.shape()
	return p, nil
}

// enterStep takes up a walk of a program, at a place that its record tells.
func (w *walker) enterStep(ctx context.Context, q lite.Querier, cp chunkfill.Checkpoint) error {
	p, err := w.e.planStep(ctx, q, w.plan, cp.Of)
	if err != nil {
		return err
	}
	if pin := cp.Pins[cp.Of]; pin != "" && pin != p.pin {
		return fmt.Errorf("%w: %s, since step %s began", ErrTableChanged, p.spec.Table, cp.Of)
	}
	w.plan, w.schema, w.copied = p, 0, place{}
	return w.enterUndo(ctx, q, p)
}

// Enter holds the walk that stands against the database.
func (s *session) Enter(ctx context.Context, cp chunkfill.Checkpoint) (chunkfill.Checkpoint, error) {
	q := s.e.readQuerier()
	if err := s.enterStep(ctx, q, cp); err != nil {
		return cp, s.abandon(ctx, s.program.find(cp.Of), err)
	}
	lower, upper, total, err := s.bounds(ctx, q)
	if err != nil {
		return cp, err
	}
	cp.Total = total

	cp.Lower, cp.Upper = lower.Encode(), upper.Encode()
	cp.Pins = merged(cp.Pins, map[string]string{cp.Of: s.pin})
	return cp, s.goOn(ctx, q, cp)
}

// bounds are those of the walk that stands, and how many rows it has where that had to be counted.
func (w *walker) bounds(ctx context.Context, q lite.Querier) (lower, upper lite.Pos, total int64, err error) {
	if w.step.source != nil {
		return w.step.source.Bounds(ctx, q)
	}
	if lower, upper, err = w.table.Key.Bounds(ctx, q); err != nil || w.table.Key.Rowid {
		return lower, upper, 0, err
	}
	total, err = w.table.CountRows(ctx, q)
	return lower, upper, total, err
}

// Once makes a step that changes the schema and records it, in one hold.
func (s *session) Once(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error) {
	step := s.program.find(from.Step)
	if step.before != nil {
		if err := step.before(ctx); err != nil {
			return to, fmt.Errorf("step %s: %w", step.Name, err)
		}
	}
	next, again := to, false
	err := s.record(ctx, func(ctx context.Context, c lite.Querier) error {
		asked, err := record.Asked(ctx, c, s.name)
		if err != nil {
			return err
		}
		if asked != from.Request {
			return errAgain
		}

		var done made
		err = lite.Guarded(ctx, c, func() (err error) {
			done, err = step.once(ctx, c)
			return err
		})
		if err != nil {
			return fmt.Errorf("step %s: %w", step.Name, lite.Explain(err))
		}
		if again = done.again; again {
			return nil
		}
		if step.request != "" {
			if _, err := s.e.takeRequest(ctx, c, s.name, step.request, "swapping"); err != nil {
				return err
			}
		}
		next = to
		next.Takebacks = append(slices.Clone(from.Takebacks), chunkfill.Takeback{Step: step.Name, Repeat: done.part, Statements: done.back})
		if done.settled {
			for i := range next.Takebacks {
				next.Takebacks[i].Repeat, next.Takebacks[i].Statements = nil, nil
			}
		}
		next.Pins = merged(from.Pins, done.pins)
		return saveStep(ctx, c, from, &next, e)
	})
	if err == nil && again {
		return from, nil
	}
	return next, s.abandon(ctx, step, err)
}

// merged is one map with another over it.
func merged[V any](one, other map[string]V) map[string]V {
	all := map[string]V{}
	maps.Copy(all, one)
	maps.Copy(all, other)
	return all
}

// TakeBack undoes the last step that can be taken back.
func (s *session) TakeBack(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error) {
	next := to
	err := s.record(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		next, _, err = takeBackTx(ctx, c, from, to, e)
		return err
	})
	return next, err
}

// takeBackTx is the hold in which a step is taken back, by whoever does it: it needs
// nothing of the job's code. Where it made a part only, it returns from as it is, and how many rows
// that part has removed.
func takeBackTx(ctx context.Context, c lite.Querier, from, to chunkfill.Checkpoint, e chunkfill.Event) (next chunkfill.Checkpoint, part int64, err error) {
	if n := len(from.Takebacks); n > 0 {
		last := from.Takebacks[n-1]
		for _, statement := range last.Repeat {
			if part, err := repeats(ctx, c, statement); err != nil || part > 0 {
				return from, part, err
			}
		}
		to.Takebacks = from.Takebacks[:n-1]
		for _, statement := range last.Statements {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return to, 0, fmt.Errorf("take back step %s: %w; the statement that fails is: %s; remove what it stumbles over, or do by hand what it does "+
					"(it finds nothing to do then), and cancel the job again", last.Step, lite.Explain(err), statement)
			}
		}
	}
	if err := saveStep(ctx, c, from, &to, e); err != nil {
		return to, 0, err
	}
	return to, 0, record.DropRangesTx(ctx, c, to.Name, loop.LaterRanges(to))
}

// enterUndo holds a step that puts rows back against the table of the rows.
func (w *walker) enterUndo(ctx context.Context, q lite.Querier, p plan) error {
	w.undo = nil
	if p.step.back == nil {
		return nil
	}
	rows, err := undoSource(ctx, q, *p.step.back)
	if err != nil {
		return err
	}
	w.undo = p.step.back.Undo(p.table.Key, rows.Key)
	return w.undo.Compile(ctx, q, p.table.Key)
}

// undoSource is the table of the rows that images are of, as it is now.
func undoSource(ctx context.Context, q lite.Querier, set images.Set) (lite.Table, error) {
	table, err := lite.LoadTable(ctx, q, set.Table)
	if err != nil {
		return table, fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	return set.Source(table)
}

// run does to a stretch what the job, or its step, does to rows that meet the conditions of a
// statement. again says that some of them may have been done before.
func (r rewrite) run(ctx context.Context, c lite.Querier, statement lite.Statement, where []string, rows lite.Range, again bool) (int, error) {
	switch {
	case r.step == nil:
	case r.step.source != nil:
		return r.step.source.Put(ctx, c, rows)
	case r.step.apply != nil:
		return r.step.apply(ctx, c, stretch{Range: rows, table: r.table, statement: statement, where: where, again: again})
	}
	return statement.Run(ctx, c, rows)
}

// repeats runs a statement, and returns how many rows it has changed: it is to be run again
// unless that is none.
func repeats(ctx context.Context, c lite.Querier, statement string) (int64, error) {
	result, err := c.ExecContext(ctx, statement)
	if lite.IsMissing(err) { // the run that died had got so far
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", statement, lite.Explain(err))
	}
	return result.RowsAffected()
}
