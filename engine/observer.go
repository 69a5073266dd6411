package engine

import (
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/throttle"
)

// Observer follows the jobs that run in an engine, for metrics, traces or a page of the
// application's own. It is told what has just happened: a [Hold], a [Wait], a [PhaseChange]
// or a [WALSize]. There may be more kinds later, so ignore those that you do not know.
//
// The job's own goroutine calls Observe, in order, and never inside a hold; jobs that run
// at the same time call it at the same time. The job waits for it, so it must be quick.
// It is called two or three times per batch, and twenty times a second by a job that waits;
// a call costs about a microsecond beside what it does. What it may call, and what becomes
// of the job if it panics, is as for [Config.OnHold].
//
// No observation has a key, a value or the text of an error in it.
type Observer interface {
	Observe(job string, what Observation)
}

// Observation is what an Observer is told: a Hold, a Wait, a PhaseChange or a WALSize.
type Observation interface{ observation() }

// Hold is one time that the engine had the write lock and, of a pool of one, the connection.
type Hold struct {
	At      time.Time     // when it ended
	Kind    HoldKind      // what it was for
	Rows    int           // rows scanned; 0 if it was rolled back
	Changed int           // rows rewritten
	Waited  time.Duration // for the connection
	Held    time.Duration // from BEGIN to the end of COMMIT, settings of the connection included
	Outcome Outcome       // how it ended; "" for a WAL checkpoint
}

// HoldKind is what a hold was for.
type HoldKind string

// The kinds of holds.
const (
	HoldBatch      HoldKind = "batch"          // rows and their checkpoint
	HoldCheckpoint HoldKind = "wal checkpoint" // the short end of one
	HoldRecord     HoldKind = "record"         // phases, events, schema
)

// Outcome is how a hold ended.
type Outcome string

// How a hold ends.
const (
	Committed   Outcome = "committed"
	Quarantined Outcome = "quarantined" // committed: its only row failed and was put into quarantine
	Busy        Outcome = "busy"        // rolled back: another process had the write lock
	RolledBack  Outcome = "rolled back" // for any other reason, such as a row that fails among others
)

// Wait is time that a job spent without holding the writer: all of it since the Wait of the
// same reason before. Together these are the job's Throttled and PausedFor.
type Wait struct {
	// Reason is one of package throttle, [ReasonPaused], or "" for what there is to do
	// between two holds. The set is small and fixed.
	Reason throttle.Reason
	For    time.Duration
}

// ReasonPaused is the reason of a Wait for somebody to resume the job.
const ReasonPaused = loop.ReasonPaused

// PhaseChange is told when a job is taken over by this engine, From "", and with each phase
// after that.
type PhaseChange struct {
	From, To chunkfill.Phase
}

// WALSize is told when the length of the write-ahead log has changed, as the job sees it.
type WALSize struct {
	Bytes int64 // that are part of the log now; its file never shrinks
}

func (Hold) observation()        {}
func (Wait) observation()        {}
func (PhaseChange) observation() {}
func (WALSize) observation()     {}

// observing tells an Observer of one run of a job. It belongs to the job's goroutine.
type observing struct {
	job string
	to  Observer                     // nil if there is none
	do  func(what string, fn func()) // guards against what host code may do

	phase chunkfill.Phase
	wal   int64
	waits []Wait // since the last that were told
}

func (o *observing) hold(h Hold) { o.tell(h) }

// waited adds to what the next publication tells.
func (o *observing) waited(why throttle.Reason, d time.Duration) {
	if o.to == nil {
		return
	}
	for i := range o.waits {
		if o.waits[i].Reason == why {
			o.waits[i].For += d
			return
		}
	}
	o.waits = append(o.waits, Wait{Reason: why, For: d})
}

// published tells what is new since the last time.
func (o *observing) published(phase chunkfill.Phase, wal int64) {
	if o.to == nil {
		return
	}
	var news []Observation
	for _, w := range o.waits {
		news = append(news, w)
	}
	if wal != o.wal {
		news = append(news, WALSize{Bytes: wal})
	}
	if phase != o.phase {
		news = append(news, PhaseChange{From: o.phase, To: phase})
	}
	o.phase, o.wal, o.waits = phase, wal, o.waits[:0]
	o.tell(news...)
}

func (o *observing) tell(news ...Observation) {
	if o.to == nil || len(news) == 0 {
		return
	}
	o.do("the Observer", func() {
		for _, what := range news {
			o.to.Observe(o.job, what)
		}
	})
}
