package chunkfill

import (
	"fmt"
	"strings"
	"time"
)

// Phase is where a job stands. The phase is the truth; the ledger's three
// statuses are its summary.
type Phase string

// The phases of a job.
const (
	Registered  Phase = "registered"  // known, nothing done yet
	Running     Phase = "running"     // at work on its rows, or on the schema
	Verifying   Phase = "verifying"   // counting what is left
	Reverting   Phase = "reverting"   // cancelled, and taking back what it has put into the schema
	Paused      Phase = "paused"      // somebody asked; left by Resume, survives restarts
	Waiting     Phase = "waiting"     // for its window or a guard; goes on by itself
	Interrupted Phase = "interrupted" // ended in good order before the end; the next Start goes on
	Cancelled   Phase = "cancelled"   // somebody asked; left by Retry only
	Failed      Phase = "failed"      // an error; the next Start goes on from the last good batch
	Done        Phase = "done"        // for good
	Undone      Phase = "undone"      // its rows were put back, or are being put back; left by Retry only
)

// Control is what somebody asks of a running job.
type Control string

// What can be asked of a job.
const (
	NoControl Control = ""       // nothing, or to resume
	Pause     Control = "pause"  // to stand still until a resume
	Cancel    Control = "cancel" // to end for good
)

// StepKind is what a step of a job does.
type StepKind string

// The kinds of steps.
const (
	Once   StepKind = "once"   // one short hold, whole or not at all
	Walk   StepKind = "walk"   // batches over the key range of one table
	Verify StepKind = "verify" // reads only: what is left
)

// Step is one step of a job.
type Step struct {
	Name string   `json:"name"` // never used again for another step
	Kind StepKind `json:"kind"`

	// Of is the walk whose range the step goes by: that which a Verify verifies, or that
	// which a walk repeats over other rows. "" for a step with a range of its own.
	Of string `json:"of,omitempty"`

	// NoReturn says that the job cannot be taken back once the step is made.
	NoReturn bool `json:"no_return,omitempty"`
}

// Range returns the name of the range that the step goes by.
func (s Step) Range() string {
	if s.Of != "" {
		return s.Of
	}
	return s.Name
}

// Takeback undoes a step that has changed the schema. It is data, so that any process can
// carry it out without the job's code.
type Takeback struct {
	Step       string   `json:"step"`
	Repeat     []string `json:"repeat"`     // each in holds of its own until it changes nothing, before the rest
	Statements []string `json:"statements"` // idempotent; in order
}

// Owner is who runs a job, or ran it last.
type Owner struct {
	PID   int       `json:"pid"`   // as that process sees itself: in a container its own
	Host  string    `json:"host"`  // name of the machine or container
	Since time.Time `json:"since"` // when it took the job
}

// String returns the owner for people.
func (o Owner) String() string {
	return fmt.Sprintf("pid %d on %s since %s", o.PID, o.Host, o.Since.UTC().Format(time.RFC3339))
}

// Request is what somebody asks of a job: control and tuned values. Whoever runs the job
// reads it with each batch and while it waits.
type Request struct {
	Control Control `json:"control"`
	By      string  `json:"by"`     // who asked
	Reason  string  `json:"reason"` // why
	All     bool    `json:"all"`    // it is asked of all jobs at once, and not of this one
	Tuning
}

// Tuning holds the values that are tuned. Zero is what the engine was configured with.
type Tuning struct {
	TargetHold time.Duration `json:"target_hold_ns"` // about how long a live write waits for the job
	MaxRate    float64       `json:"max_rate"`       // rows per second; negative for no cap, also where one is configured
}

// Words says which values are tuned, such as "target hold 2ms, at most 5000 rows/s", for
// people.
func (t Tuning) Words() string {
	if t == (Tuning{}) {
		return "as configured"
	}

	var values []string
	if t.TargetHold != 0 {
		values = append(values, fmt.Sprintf("target hold %v", t.TargetHold))
	}
	switch {
	case t.MaxRate > 0:
		values = append(values, fmt.Sprintf("at most %v rows/s", t.MaxRate))
	case t.MaxRate < 0:
		values = append(values, "no cap on rows/s")
	}
	return strings.Join(values, ", ")
}

// JobRecord is what is stored of a job as a whole. A change of state writes it, and whoever
// asks something of the job; a batch never does.
type JobRecord struct {
	Name        string `json:"name"`        // of the job and of its migration
	Fingerprint string `json:"fingerprint"` // of the job's definition and the shape of its table; opaque
	Definition  string `json:"definition"`  // the job as an SQL statement, for people
	Table       string `json:"table"`       // that it rewrites

	Steps []Step `json:"steps"`     // what the job is made of; empty for one begun before there were any
	Step  string `json:"step"`      // the one that stands; "" after the last
	Pass  int    `json:"pass"`      // 1, or 2 over what verification found left
	Back  bool   `json:"reverting"` // the steps that were made are being taken back

	Phase Phase  `json:"phase"` // where it stands
	Error string `json:"error"` // why it failed; "" otherwise

	Left      int64         `json:"rows_left"` // found by verification; -1 before, or if the job cannot tell
	PausedFor time.Duration `json:"paused_ns"` // paused or waiting

	Takebacks []Takeback        `json:"takebacks"` // of the steps made so far, the last first to be undone
	Pins      map[string]string `json:"-"`         // by step: what its table must look like; opaque

	Request   Request   `json:"request"`    // what is asked of it
	CreatedAt time.Time `json:"created_at"` // when its first run took it
	UpdatedAt time.Time `json:"updated_at"` // by the latest batch or change of state
}

// InSchema returns the steps that have put something into the schema which still stands
// there, in the order in which they were made. Cancel takes it back.
func (r JobRecord) InSchema() []string {
	steps := make([]string, 0, len(r.Takebacks))
	for _, t := range r.Takebacks {
		if len(t.Statements)+len(t.Repeat) > 0 {
			steps = append(steps, t.Step)
		}
	}
	return steps
}

// PastReturn returns the step with which a job that is not done has passed its point of no
// return, "" if it has not: such a job can only be brought to its end.
func (r JobRecord) PastReturn() string {
	if r.Phase == Done {
		return ""
	}

	past := ""
	for _, step := range r.Steps {
		if step.Name == r.Step { // those before it are made
			break
		}
		if step.NoReturn {
			past = step.Name
		}
	}
	return past
}

// Position returns where the step that stands is among the steps, from 1, and how many
// there are; 0 after the last.
func (r JobRecord) Position() (n, of int) {
	for i, step := range r.Steps {
		if step.Name == r.Step {
			return i + 1, len(r.Steps)
		}
	}
	return 0, len(r.Steps)
}

// RangeRecord is what is stored of the rows that a step goes over. Each batch writes it.
type RangeRecord struct {
	Of      string `json:"range"`   // the step that it belongs to
	Entered bool   `json:"entered"` // its bounds are fixed

	Reason string `json:"reason"` // why the job waits, or runs as it does; "" if there is nothing to say

	RunID string `json:"run_id"` // of the run that owns it; another run has another
	Owner Owner  `json:"owner"`  // who runs it, or ran it last

	Lower  string `json:"lower"`  // first key when the step began; opaque
	Upper  string `json:"upper"`  // last key then: the end of the walk; opaque, "" for an empty table
	Cursor string `json:"cursor"` // last key that was passed; opaque, "" before the first
	Total  int64  `json:"total"`  // rows when the step began; 0 where counting was not needed

	Rows        int64 `json:"rows_scanned"`     // passed by the cursor, changed or not
	Changed     int64 `json:"rows_changed"`     // that Where selected: the new value may be the old one
	Quarantined int64 `json:"rows_quarantined"` // in quarantine now
	Batches     int64 `json:"batches"`          // committed
	BatchRows   int   `json:"batch_rows"`       // size that the next batch is meant to have

	Working   time.Duration `json:"working_ns"`   // holding the writer
	Throttled time.Duration `json:"throttled_ns"` // the rest of the walk: giving way, or waiting for the rate, a lock, computed rows
}

// Checkpoint is how a job stands: its record, and that of the range of the step that stands.
type Checkpoint struct {
	JobRecord
	RangeRecord
}

// Event is a line of a job's audit trail.
type Event struct {
	At     time.Time `json:"at"`
	Event  string    `json:"event"`            // started, resumed, paused, tuned, quarantined, verified, ended, …
	By     string    `json:"by,omitempty"`     // who did it or asked for it
	Detail string    `json:"detail,omitempty"` // such as the reason that was given
}

// BadRow is a row on which the job failed, in quarantine.
type BadRow struct {
	Step     string    `json:"step"`     // whose range it is in
	Key      string    `json:"key"`      // JSON list of the key's values as SQL literals, as RangeRecord.Cursor
	Error    string    `json:"error"`    // of the latest attempt
	Attempts int       `json:"attempts"` // how often the job failed on it alone
	At       time.Time `json:"at"`       // of the latest attempt
}

// Sample is one point in the ring of a job's pace.
type Sample struct {
	At        time.Time     `json:"at"`
	Rows      int64         `json:"rows_scanned"` // by then, in all
	BatchRows int           `json:"batch_rows"`   // size of a batch then
	Hold      time.Duration `json:"hold_ns"`      // of the batch before
	Wait      time.Duration `json:"wait_ns"`      // of that batch for the connection
	WALBytes  int64         `json:"wal_bytes"`    // size of the log's file
}
