package loop

import (
	"fmt"
	"slices"

	"github.com/chunkfill/chunkfill"
)

// Steps is what a job is made of. It follows from the job's definition alone.
type Steps []chunkfill.Step

// The steps of the jobs that only rewrite rows.
var (
	WalkOnly   = Steps{walk}                                                          // a job that cannot tell what it left
	WalkVerify = Steps{walk, {Name: "verify", Kind: chunkfill.Verify, Of: walk.Name}} // one that can
	WalkTwice  = Steps{walk, {Name: "newest", Kind: chunkfill.Walk, Of: walk.Name}}   // a Delete of all rows: the newest, which tell old from new, come last
)

var walk = chunkfill.Step{Name: "walk", Kind: chunkfill.Walk}

// Check reports why a list cannot be one of steps: a step is named once, and goes by a walk
// before it, from which no change of the schema parts it.
func (steps Steps) Check() error {
	seen, walks := map[string]bool{}, map[string]bool{}
	for _, step := range steps {
		switch {
		case step.Name == "" || seen[step.Name]:
			return fmt.Errorf("a step is named %q, which is no name of its own", step.Name)
		case step.Of != "" && !walks[step.Of], step.Of == "" && step.Kind == chunkfill.Verify:
			return fmt.Errorf("step %s goes by %q, which is no walk since the last change of the schema", step.Name, step.Of)
		case step.NoReturn && step.Kind != chunkfill.Once:
			return fmt.Errorf("step %s changes no schema, and cannot be a point of no return", step.Name)
		}

		seen[step.Name] = true
		switch step.Kind {
		case chunkfill.Once:
			clear(walks)
		case chunkfill.Walk:
			walks[step.Name] = true
		}
	}
	return nil
}

// kind is what the step that stands does; "" after the last.
func (steps Steps) kind(s State) chunkfill.StepKind {
	if s.Step >= len(steps) {
		return ""
	}
	return steps[s.Step].Kind
}

// index is where a step is among them, len(steps) for "", which is after the last.
func (steps Steps) index(name string) int {
	i := slices.IndexFunc(steps, func(step chunkfill.Step) bool { return step.Name == name })
	if i < 0 {
		return len(steps)
	}
	return i
}

// made is the last step before one that has changed the schema, -1 if there is none.
func (steps Steps) made(before int) int {
	for i := min(before, len(steps)) - 1; i >= 0; i-- {
		if steps[i].Kind == chunkfill.Once {
			return i
		}
	}
	return -1
}

// NoReturn reports whether a job in a state can no longer be taken back.
func (steps Steps) NoReturn(s State) bool {
	return slices.ContainsFunc(steps[:min(s.Step, len(steps))], func(step chunkfill.Step) bool { return step.NoReturn })
}

// Condition is whether a job works, and if it does not, why.
type Condition int

const (
	Registered  Condition = iota // known, nothing done yet
	Working                      // shown as running, verifying or reverting, by the step and the direction
	Halted                       // paused: somebody asked; left by Resume, survives restarts
	Blocking                     // waiting for its window or a guard; goes on by itself
	Interrupted                  // ended in good order before the end; the next Start goes on
	Cancelled                    // somebody asked; left by Retry only
	Failed                       // an error; the next Start goes on from the last good batch
	Done                         // for good
	Undone                       // its rows were put back, or are being put back, by another job; left by Retry only
)

// State is where a job stands: its position among its steps, and its condition.
type State struct {
	Step      int  // the one that stands, from 0; as many as there are after the last
	Pass      int  // over a range: 1, or 2 over what verification found left, or over the rows kept for last
	Back      bool // the steps before Step that have changed the schema are taken back, the last first
	Condition Condition
}

// Event is what can happen to a job.
type Event int

const (
	none        Event = iota
	Taken             // a run has made itself its owner
	Entered           // the step that stands has been held against the database
	PauseAsked        // somebody asked for a pause, and the run honors it
	Blocked           // the window, a guard or a full disk keeps it from working
	Opened            // nothing keeps it from working any more
	Finished          // the step is done, and another one follows
	Counted           // a verification has counted what is left
	LeftOver          // so many rows are left that the walk before is made again
	Succeeded         // the last step is done, and all is well
	Stopped           // the context ended, or the engine was closed
	CancelAsked       // somebody asked for the end, and that is honored
	Broke             // an error ended the run
	TakenBack         // the last step that had changed the schema is undone
	Retried           // somebody asked for another try
	UndoAsked         // nobody runs the job, and its rows are to be put back
)

// Next returns the state after an event. It is pure and total: an event that cannot
// happen in a state is a *TransitionError, and nothing changes.
//
//	registered, interrupted, failed ── Taken ──> working
//	working, paused, waiting ── PauseAsked ──> paused
//	working, paused, waiting ── Blocked ──> waiting
//	paused, waiting ── Opened ──> working
//	working at a walk ── Entered ──> the same
//	working ── Finished ──> working at the next step
//	working at a verification ── Counted ──> the same
//	working at a verification ── LeftOver ──> working at its walk, pass 2
//	working at the last step ── Succeeded ──> done
//	working, paused, waiting ── Stopped | Broke ──> interrupted | failed
//	all but cancelled, done ── CancelAsked ──> cancelled, or, where the schema was changed, working back
//	working back ── TakenBack ──> working back at the step before, in the end cancelled
//	cancelled, failed ── Retried ──> registered
//	all, where no schema was changed ── UndoAsked ──> undone
//	undone ── Retried ──> registered at the first step
//
// After a step of no return there is no cancel.
func Next(steps Steps, s State, e Event) (State, error) {
	next := s
	owned := s.Condition == Working || s.Condition == Halted || s.Condition == Blocking
	waits := s.Condition == Registered || s.Condition == Interrupted || s.Condition == Failed
	works := s.Condition == Working
	forward := works && !s.Back
	verifies := forward && steps.kind(s) == chunkfill.Verify

	allowed := false
	switch e {
	case Taken:
		// A run that died has left whatever it did last.
		allowed, next.Condition = waits || owned, Working
	case PauseAsked:
		allowed, next.Condition = owned, Halted
	case Blocked:
		allowed, next.Condition = owned, Blocking
	case Opened:
		allowed, next.Condition = owned && !works, Working
	case Entered:
		allowed = forward && steps.kind(s) == chunkfill.Walk
	case Finished:
		allowed = forward && steps.goesOn(s)
		next.Step, next.Pass = s.Step+1, steps.passAfter(s)
	case Counted:
		allowed = verifies
	case LeftOver:
		allowed = verifies
		if verifies {
			next.Step, next.Pass = steps.index(steps[s.Step].Of), 2
		}
	case Succeeded:
		allowed, next.Condition = forward && !steps.goesOn(s), Done
	case Stopped:
		allowed, next.Condition = owned, Interrupted
	case CancelAsked:
		allowed = (owned || waits) && !steps.NoReturn(s)
		next = steps.cancelled(s)
	case Broke:
		allowed, next.Condition = owned, Failed
	case TakenBack:
		allowed = works && s.Back
		next.Step, next.Pass = max(0, steps.made(s.Step)), 1
		next = steps.cancelled(next)
	case Retried:
		allowed, next.Condition = s.Condition == Cancelled || s.Condition == Failed || s.Condition == Undone, Registered
		if s.Condition == Undone { // what it has done is undone
			next.Step, next.Pass = 0, 1
		}
	case UndoAsked:
		allowed, next.Condition = !steps.changeSchema(), Undone
	}
	if !allowed {
		return s, &TransitionError{steps, s, e}
	}
	return next, nil
}

// changeSchema reports whether the job has steps that are no work on rows.
func (steps Steps) changeSchema() bool { return steps.made(len(steps)) >= 0 }

// goesOn reports whether something follows the step that stands. A step that changes the
// schema is recorded with its change, so after the last there is a moment before the end.
func (steps Steps) goesOn(s State) bool {
	return s.Step+1 < len(steps) || steps.kind(s) == chunkfill.Once
}

// passAfter is the pass of the step after the one that stands: a verification has that of
// its walk, and a walk over the range of another makes the second.
func (steps Steps) passAfter(s State) int {
	switch next := s.Step + 1; {
	case steps.repeats(next):
		return 2
	case next < len(steps) && steps[next].Kind == chunkfill.Verify:
		return s.Pass
	}
	return 1
}

// repeats reports whether a step is a walk over the range of the one before.
func (steps Steps) repeats(step int) bool {
	return step < len(steps) && steps[step].Kind == chunkfill.Walk && steps[step].Of != ""
}

// cancelled is what becomes of a job that is cancelled: it works back for as long as
// something of it stands in the schema. What it did before that stays done.
func (steps Steps) cancelled(s State) State {
	if steps.made(s.Step) >= 0 {
		s.Back, s.Condition = true, Working
		return s
	}
	s.Back, s.Condition = false, Cancelled
	return s
}

// LaterRanges returns the ranges of the steps after the one that a record tells, which are to
// be made anew.
func LaterRanges(cp chunkfill.Checkpoint) []string {
	steps := StepsOf(cp)
	before, after := map[string]bool{}, []string{}
	for i, step := range steps {
		if i <= steps.index(cp.Step) {
			before[step.Range()] = true
		} else if !before[step.Range()] {
			after = append(after, step.Range())
		}
	}
	return after
}

// TransitionError is returned by [Next] for an event that cannot happen in a state.
type TransitionError struct {
	Steps Steps
	State State
	Event Event
}

func (e *TransitionError) Error() string {
	if e.Event == CancelAsked && e.Steps.NoReturn(e.State) && e.State.Condition != Done {
		return "the job has passed its point of no return and can only be brought to its end"
	}
	return fmt.Sprintf("a job that is %s cannot be %s", e.Steps.Phase(e.State), e.Event)
}

// Is reports whether target is [ErrNoReturn], where that is the reason.
func (e *TransitionError) Is(target error) bool {
	return target == ErrNoReturn && e.Event == CancelAsked && e.State.Condition != Done && e.Steps.NoReturn(e.State)
}

// Phase is how a state is shown, and recorded: "running", "verifying" and "reverting" are
// how "working" is called, by the kind of step and the direction.
func (steps Steps) Phase(s State) chunkfill.Phase {
	switch s.Condition {
	case Registered:
		return chunkfill.Registered
	case Halted:
		return chunkfill.Paused
	case Blocking:
		return chunkfill.Waiting
	case Interrupted:
		return chunkfill.Interrupted
	case Cancelled:
		return chunkfill.Cancelled
	case Failed:
		return chunkfill.Failed
	case Done:
		return chunkfill.Done
	case Undone:
		return chunkfill.Undone
	}
	switch {
	case s.Back:
		return chunkfill.Reverting
	case steps.kind(s) == chunkfill.Verify:
		return chunkfill.Verifying
	}
	return chunkfill.Running
}

// Outside returns the record of a job after an event that does not come from a run of it:
// for those who ask something of a job that nobody runs.
func Outside(cp chunkfill.Checkpoint, on Event) (chunkfill.Checkpoint, error) {
	steps := StepsOf(cp)
	next, err := Next(steps, steps.StateOf(cp), on)
	if err != nil {
		return cp, err
	}
	return steps.at(cp, next), nil
}

// StepsOf returns the steps of a job as they are stored. A job that was begun before steps
// were stored may be made of any that only rewrite rows.
func StepsOf(cp chunkfill.Checkpoint) Steps {
	if len(cp.Steps) == 0 {
		return WalkVerify
	}
	return cp.Steps
}

// StateOf returns the state that a record tells.
func (steps Steps) StateOf(cp chunkfill.Checkpoint) State {
	s := State{Step: steps.index(cp.Step), Pass: max(1, cp.Pass), Back: cp.Back, Condition: conditionOf(cp.Phase)}
	switch {
	case len(cp.Steps) > 0:
	case cp.Phase == chunkfill.Verifying, cp.Phase == chunkfill.Done:
		s.Step = len(steps) - 1
	default:
		s.Step = 0
	}
	return s
}

func conditionOf(phase chunkfill.Phase) Condition {
	switch phase {
	case chunkfill.Running, chunkfill.Verifying, chunkfill.Reverting:
		return Working
	case chunkfill.Paused:
		return Halted
	case chunkfill.Waiting:
		return Blocking
	case chunkfill.Interrupted:
		return Interrupted
	case chunkfill.Cancelled:
		return Cancelled
	case chunkfill.Failed:
		return Failed
	case chunkfill.Done:
		return Done
	case chunkfill.Undone:
		return Undone
	}
	return Registered
}

// at is a record that tells a state. Where the state has another range, that of cp is
// replaced by one that nothing is known of yet.
func (steps Steps) at(cp chunkfill.Checkpoint, s State) chunkfill.Checkpoint {
	cp.Steps, cp.Step, cp.Pass, cp.Back, cp.Phase = steps, "", s.Pass, s.Back, steps.Phase(s)
	if s.Back {
		cp.Left = -1 // what was counted is taken back, too
	}
	of := cp.Of // after the last step: that of the last
	if s.Step < len(steps) {
		cp.Step, of = steps[s.Step].Name, steps[s.Step].Range()
	}
	if s.Condition == Done { // what it has made is the application's, and nothing has to fit any more
		cp.Takebacks, cp.Pins = nil, nil
	}
	if of != cp.Of {
		cp.RangeRecord = chunkfill.RangeRecord{Of: of, RunID: cp.RunID, Owner: cp.Owner}
		cp.Left = -1
	}
	return cp
}

// Taken returns the record of a job that a run takes over: known, or new where it has no
// steps and no phase. A verification is begun again by its walk, which has nothing left to
// do where the cursor is at the bound.
func (steps Steps) Taken(cp chunkfill.Checkpoint) (chunkfill.Checkpoint, error) {
	if len(cp.Steps) > 0 && !slices.Equal(cp.Steps, steps) {
		return cp, ErrStepsChanged
	}
	s := steps.StateOf(cp)
	if len(cp.Steps) == 0 && len(steps) > 1 && steps[1].Kind == chunkfill.Walk { // the pass tells
		s.Step = min(s.Pass, len(steps)) - 1
	}
	s, err := Next(steps, s, Taken)
	if err != nil {
		return cp, err
	}
	if steps.kind(s) == chunkfill.Verify && !s.Back {
		s.Step = steps.index(steps[s.Step].Of)
	}
	return steps.at(cp, s), nil
}

func (e Event) String() string {
	switch e {
	case Taken:
		return "taken over"
	case Entered:
		return "entered"
	case PauseAsked:
		return "paused"
	case Blocked:
		return "made to wait"
	case Opened:
		return "resumed"
	case Finished:
		return "taken to its next step"
	case Counted:
		return "verified"
	case LeftOver:
		return "made to walk again"
	case Succeeded:
		return "ended"
	case Stopped:
		return "interrupted"
	case CancelAsked:
		return "cancelled"
	case Broke:
		return "failed"
	case TakenBack:
		return "taken back"
	case Retried:
		return "retried"
	case UndoAsked:
		return "undone"
	}
	return "left as it is"
}
