package loop

import (
	"fmt"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// Kind is what a step does.
type Kind int

const (
	Walk   Kind = iota // batches over the key range of the table
	Verify             // reads only: what is left
)

// Steps is what a job is made of. It follows from the job's definition alone.
type Steps []Kind

// The steps of the jobs there are.
var (
	WalkOnly   = Steps{Walk}         // a job that cannot tell what it left
	WalkVerify = Steps{Walk, Verify} // one that can
	WalkTwice  = Steps{Walk, Walk}   // a Delete of all rows: the newest, which tell old from new, come last
)

// Condition is whether a job works, and if it does not, why.
type Condition int

const (
	Registered  Condition = iota // known, nothing done yet
	Working                      // shown as running or verifying, by the kind of step
	Halted                       // paused: somebody asked; left by Resume, survives restarts
	Blocking                     // waiting for its window or a guard; goes on by itself
	Interrupted                  // ended in good order before the end; the next Start goes on
	Cancelled                    // somebody asked; left by Retry only
	Failed                       // an error; the next Start goes on from the last good batch
	Done                         // for good
)

// State is where a job stands: its position among its steps, and its condition.
type State struct {
	Step      int // the one that stands, from 0
	Pass      int // of a walk that is verified: 1, or 2 over what verification found left
	Condition Condition
}

// Event is what can happen to a job.
type Event int

const (
	none        Event = iota
	Taken             // a run has made itself its owner
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
	Retried           // somebody asked for another try
)

// Next returns the state after an event. It is pure and total: an event that cannot
// happen in a state is a *TransitionError, and nothing changes.
//
//	registered, interrupted, failed ── Taken ──> working
//	working, paused, waiting ── PauseAsked ──> paused
//	working, paused, waiting ── Blocked ──> waiting
//	paused, waiting ── Opened ──> working
//	working ── Finished ──> working at the next step
//	working at a verification ── Counted ──> the same
//	working at a verification ── LeftOver ──> working at its walk, pass 2
//	working at the last step ── Succeeded ──> done
//	working, paused, waiting ── Stopped | CancelAsked | Broke ──> interrupted | cancelled | failed
//	registered, interrupted, failed ── CancelAsked ──> cancelled
//	cancelled, failed ── Retried ──> registered
func Next(steps Steps, s State, e Event) (State, error) {
	next := s
	owned := s.Condition == Working || s.Condition == Halted || s.Condition == Blocking
	waits := s.Condition == Registered || s.Condition == Interrupted || s.Condition == Failed
	works := s.Condition == Working
	verifies := works && s.Step < len(steps) && steps[s.Step] == Verify

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
	case Finished:
		allowed, next.Step = works && s.Step+1 < len(steps), s.Step+1
	case Counted:
		allowed = verifies
	case LeftOver:
		allowed, next.Step, next.Pass = verifies, s.Step-1, 2
	case Succeeded:
		allowed, next.Condition = works && s.Step == len(steps)-1, Done
	case Stopped:
		allowed, next.Condition = owned, Interrupted
	case CancelAsked:
		allowed, next.Condition = owned || waits, Cancelled
	case Broke:
		allowed, next.Condition = owned, Failed
	case Retried:
		allowed, next.Condition = s.Condition == Cancelled || s.Condition == Failed, Registered
	}
	if !allowed {
		return s, &TransitionError{steps, s, e}
	}
	return next, nil
}

// TransitionError is returned by [Next] for an event that cannot happen in a state.
type TransitionError struct {
	Steps Steps
	State State
	Event Event
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("a job that is %s cannot be %s", e.Steps.Phase(e.State), e.Event)
}

// Phase is how a state is shown, and recorded: "running" and "verifying" are how
// "working" is called at either kind of step.
func (steps Steps) Phase(s State) checkpoint.Phase {
	switch s.Condition {
	case Registered:
		return checkpoint.Registered
	case Halted:
		return checkpoint.Paused
	case Blocking:
		return checkpoint.Waiting
	case Interrupted:
		return checkpoint.Interrupted
	case Cancelled:
		return checkpoint.Cancelled
	case Failed:
		return checkpoint.Failed
	case Done:
		return checkpoint.Done
	}
	if s.Step < len(steps) && steps[s.Step] == Verify {
		return checkpoint.Verifying
	}
	return checkpoint.Running
}

// Outside returns the phase of a job that nobody runs after an event, by [Next]: for those
// who ask something of it.
func Outside(phase checkpoint.Phase, on Event) (checkpoint.Phase, error) {
	next, err := Next(WalkVerify, StateOf(phase), on)
	return WalkVerify.Phase(next), err
}

// StateOf is the state that a phase shows, at some position.
func StateOf(phase checkpoint.Phase) State {
	s := State{Pass: 1}
	switch phase {
	case checkpoint.Registered:
		s.Condition = Registered
	case checkpoint.Running:
		s.Condition = Working
	case checkpoint.Verifying:
		s.Condition, s.Step = Working, 1
	case checkpoint.Paused:
		s.Condition = Halted
	case checkpoint.Waiting:
		s.Condition = Blocking
	case checkpoint.Interrupted:
		s.Condition = Interrupted
	case checkpoint.Cancelled:
		s.Condition = Cancelled
	case checkpoint.Failed:
		s.Condition = Failed
	case checkpoint.Done:
		s.Condition = Done
	}
	return s
}

// taken is the state of a job that a run has just taken over. A verification is begun
// again by its walk, which has nothing left to do where the cursor is at the bound.
func (steps Steps) taken(cp checkpoint.Checkpoint) State {
	s := State{Pass: max(1, cp.Pass), Condition: Working}
	if len(steps) > 1 && steps[1] == Walk {
		s.Step = min(s.Pass, len(steps)) - 1
	}
	if cp.Phase == checkpoint.Done {
		s.Step, s.Condition = len(steps)-1, Done
	}
	return s
}

func (e Event) String() string {
	switch e {
	case Taken:
		return "taken over"
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
	case Retried:
		return "retried"
	}
	return "left as it is"
}
