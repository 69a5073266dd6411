package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
)

// Case identifies what a trial measures.
type Case struct {
	Shape     dataset.Shape `json:"shape"`
	Rows      int           `json:"rows"`
	Load      Load          `json:"load"`
	Contender string        `json:"contender"`
}

func (c Case) String() string {
	return fmt.Sprintf("%s, %d rows, load %v: %s", c.Shape, c.Rows, c.Load, c.Contender)
}

// Trial is one run of a contender on a fresh copy, and what was measured.
type Trial struct {
	Case
	Round   int       `json:"round"` // from 0
	Started time.Time `json:"started"`

	Total    time.Duration `json:"total_ns"`
	CPU      time.Duration `json:"cpu_ns"`   // of all threads; 0 if unknown
	Complete bool          `json:"complete"` // false if the bound ended it
	Changed  int64         `json:"rows_changed"`

	Idle   *load.Phase   `json:"idle,omitempty"`   // the load before the rewrite
	During *load.Phase   `json:"during,omitempty"` // and beside it
	Holds  Holds         `json:"holds"`
	System sysmon.Report `json:"system"`

	// Verdict is the check of every row, if there was one: in the first round of a
	// contender that does the whole work.
	Verdict *dataset.Verdict `json:"verdict,omitempty"`
	Error   string           `json:"error,omitempty"`
}

// RowsPerSecond returns the rate of the work done.
func (t Trial) RowsPerSecond() float64 {
	if t.Total <= 0 {
		return 0
	}
	return float64(t.Changed) / t.Total.Seconds()
}

// Correct reports whether no row came out wrong, as far as the rows were checked.
func (t Trial) Correct() bool {
	return t.Error == "" && (t.Verdict == nil || t.Verdict.Wrong == 0 && (!t.Complete || t.Verdict.Pending == 0))
}

// trialSpec describes a trial to run, possibly in a child process.
type trialSpec struct {
	Case
	Round    int            `json:"round"`
	Master   string         `json:"master"` // the generated file, which is only read
	Data     dataset.Config `json:"data"`
	Idle     time.Duration  `json:"idle_ns"`
	Bound    time.Duration  `json:"bound_ns"`
	Handicap time.Duration  `json:"handicap_ns"`
}

// path is that of the copy.
func (s trialSpec) path() string { return s.Master + ".trial" }

// rig is what a contender works with.
type rig struct {
	spec     trialSpec
	db       *sql.DB
	path     string
	live     *load.Load // nil without one in this process
	holds    *holdRecorder
	deadline time.Time

	changed int64
	cut     bool          // the bound ended it
	cpu     time.Duration // of another process than this one
}

// exec runs a statement and records it as one hold of the writer.
func (r *rig) exec(ctx context.Context, query string, args ...any) error {
	began := time.Now()
	result, err := r.db.ExecContext(ctx, query, args...)
	r.holds.add(began, time.Now())
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	r.changed += n
	return err
}

// late reports whether the bound has been reached, and remembers it.
func (r *rig) late() bool {
	r.cut = r.cut || time.Now().After(r.deadline)
	return r.cut
}

// runTrial runs a trial in this process. An error of the contender is part of the result; a
// returned error makes the whole run pointless.
func runTrial(ctx context.Context, spec trialSpec, child func(ChildKind) *exec.Cmd) (Trial, error) {
	contender, err := contenderNamed(spec.Contender)
	if err != nil {
		return Trial{}, err
	}
	path := spec.path()
	defer remove(path)
	if err := freshCopy(spec.Master, path); err != nil {
		return Trial{}, err
	}
	db, err := load.Open(path)
	if err != nil {
		return Trial{}, err
	}
	defer db.Close()
	r := &rig{spec: spec, db: db, path: path}
	t := Trial{Case: spec.Case, Round: spec.Round, Started: time.Now()}
	if err := r.measure(ctx, contender, &t, child); err != nil {
		return Trial{}, fmt.Errorf("%v: %w", spec.Case, err)
	}
	if contender.Fills && spec.Round == 0 && t.Error == "" {
		verdict, err := dataset.Check(ctx, db, spec.Data)
		if err != nil {
			return Trial{}, err
		}
		t.Verdict = &verdict
	}
	return t, ctx.Err()
}

// measure runs the contender between an idle phase of the load and its end.
func (r *rig) measure(ctx context.Context, contender Contender, t *Trial, child func(ChildKind) *exec.Cmd) error {
	live, err := r.startLive(ctx, child)
	if err != nil {
		return err
	}
	if err := live.idle(ctx, r.spec.Idle); err != nil {
		return errors.Join(err, live.stop(t))
	}
	monitor := sysmon.Start(sysmon.Config{Path: r.path})
	cpu, began := cpuTime(), time.Now()
	r.holds = newHoldRecorder(began)
	r.deadline = began.Add(r.spec.Bound)
	runErr := contender.run(ctx, r)
	t.Total, t.CPU = time.Since(began), cpuTime()-cpu+r.cpu
	stopErr := live.stop(t)
	t.System = monitor.Stop()
	t.Holds = r.holds.holds()
	t.Changed, t.Complete = r.changed, runErr == nil && !r.cut
	if runErr != nil {
		t.Error = runErr.Error()
	}
	return stopErr
}
