package looptest

import (
	"fmt"

	"github.com/chunkfill/chunkfill/internal/loop"
)

// Verb is a method of loop.Database.
type Verb string

// The verbs that can fail.
const (
	Take    Verb = "Take"
	Save    Verb = "Save"
	Asked   Verb = "Asked"
	Prepare Verb = "Prepare"
	Bound   Verb = "Bound"
	Hold    Verb = "Hold"
	Left    Verb = "Left"
	Check   Verb = "Check"
	Sound   Verb = "Sound"
	GiveWay Verb = "GiveWay"
	After   Verb = "After"
	Idle    Verb = "Idle"

	Enter    Verb = "Enter"
	Once     Verb = "Once"
	TakeBack Verb = "TakeBack"
)

// When is how far a verb has come when it fails.
type When int

const (
	AtOnce      When = iota // nothing is done yet
	Midway                  // the rows are rewritten, the record is not
	AtCommit                // all is written, and not committed
	AfterCommit             // it is committed: what fails now is no error any more
)

func (w When) String() string {
	return [...]string{"at once", "midway", "at the commit", "after the commit"}[w]
}

// Fault is an error to come.
type Fault struct {
	Verb  Verb
	When  When
	Class loop.Class
}

func (f Fault) String() string {
	return fmt.Sprintf("%s, %s, in %s", ClassName(f.Class), f.When, f.Verb)
}

// Error is the error of a fault of the database in memory.
type Error struct{ Fault }

func (e *Error) Error() string { return "injected: " + e.Fault.String() }

// Classes are all that there are.
var Classes = []loop.Class{loop.Other, loop.Busy, loop.Again, loop.Row, loop.Full, loop.Lost, loop.Gone}

// ClassName is the name of a class.
func ClassName(c loop.Class) string {
	return [...]string{"other", "busy", "again", "row", "full", "lost", "gone"}[c]
}
