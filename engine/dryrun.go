package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// DryRunResult is what a job would do.
type DryRunResult struct {
	Table    string           // that it rewrites
	Key      string           // the columns it is walked by
	Rows     int64            // in the table
	Matching int64            // for which Where holds; -1, in JSON null, if it takes arguments
	Begun    checkpoint.Phase // "" if no job of this name has run

	Statement   string   // of one batch
	Plan        []string // SQLite's plan for it
	PlanSummary string   // the plan in words: what a batch reads

	// Columns are those of the table that Sample has values of: all for a delete, else those
	// that the job writes or that have changed with them.
	Columns []string
	// Sample are the first rows that the job would come to, ten at most.
	Sample []DryRunRow
	// Tried is how many rows of Sample the statement was applied to.
	Tried int
	// SampleReason says why there are fewer than ten rows, or why not all were tried; "" if
	// there is nothing to say.
	SampleReason string

	Triggers    []DryRunTrigger    // that would fire
	ForeignKeys []DryRunForeignKey // that refer to the rows
	Warnings    []string           // what is likely to be a mistake
	Notes       []string           // what is worth knowing

	// WALBytes is about how much would be written to the write-ahead log in all. The log
	// is kept shorter, see Config.WALBudget. GrowBytes is about how much longer the
	// values get. Both are -1, in JSON null, if they cannot be told.
	WALBytes, GrowBytes int64
	ImageBytes          int64 // that an image of a row takes, about, in the database file; -1, in JSON null, without KeepBefore
	FreeBytes           int64 // on the disk of the database; -1, in JSON null, in memory

	// TimeLow and TimeHigh are about how long the job would take, from without any pause to
	// with those of this Config; -1, in JSON null, if that cannot be told.
	TimeLow, TimeHigh time.Duration
	Measured          time.Duration // for how long the dry run has looked
	LiveLoad          *bool         // whether others have written meanwhile; nil if that cannot be told

	Held time.Duration // how long the dry run has held the writer, at most at once

	Reshape *DryRunReshape // of a job that gives the table another shape, or an index; else nil, in JSON null
}

// DryRunRow is one row, as it is and as the job would leave it. Values are SQL literals by
// column, long ones cut, with their length.
type DryRunRow struct {
	Key    []string          `json:"key"`    // SQL literals of the key's columns
	Before map[string]string `json:"before"` // nil if the row was not looked at
	After  map[string]string `json:"after"`  // nil for one that is deleted, that fails, or that was not tried
	Error  string            `json:"error"`  // with which the job fails on this row; "" if it does not
}

// DryRunTrigger is a trigger that the job would fire, or that such a trigger would.
type DryRunTrigger struct {
	Name   string   `json:"name"`
	Table  string   `json:"table"`
	Timing string   `json:"timing"` // before or after
	Event  string   `json:"event"`  // such as "update of email", "insert"
	Calls  []string `json:"calls"`  // functions of the application, unless they are deterministic
}

// DryRunForeignKey is a foreign key that refers to what the job deletes or sets.
type DryRunForeignKey struct {
	Table   string   `json:"table"`   // that has it
	Columns []string `json:"columns"` // of that table
	Action  string   `json:"action"`  // such as "on delete cascade"
}

// DryRun checks a job as Start does and reports what it would do. It changes nothing.
//
// It looks for ten rows on the read-only connection, for a second at most, and computes a
// transform's results for them. Then it applies the job's statement to them, in a
// transaction that is rolled back: it begins no further row after Config.TargetHold, and a
// row that alone takes 50 ms, or TargetHold if that is longer, is interrupted. If fewer than three
// rows were tried so, there is another such transaction, of three at most. It waits two
// seconds for the lock of another process. Where a trigger calls a function of the application that
// is not deterministic, which no rollback would undo, no row is tried.
//
// Rows that match are counted beside the writer, which takes about as long as reading the table.
//
// A jobs.Rebuild or jobs.Index is shown as a whole, in Reshape: the change of the schema is made and rolled back, which holds
// the writer for some milliseconds, and a sample of the rows tells of room and time. Where the start of the job
// would be refused, its error is returned together with the result, which lists each reason.
//
// It returns ErrSpec, ErrJobChanged and ErrCancelled as Start does, and ErrSpec for another job of several
// steps; what keeps a job from running, see [ErrNoTable] and those after it; and ErrClosed.
func (e *Engine) DryRun(ctx context.Context, job jobs.Job) (d DryRunResult, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return DryRunResult{}, err
	}
	defer leave(&err)
	if job.Spec().Kind == jobs.KindArchive {
		return e.dryArchive(ctx, job)
	}
	if program := programOf(job); program != nil {
		return e.dryRunProgram(ctx, job, program)
	}
	p, err := e.prepare(ctx, job)
	if err != nil {
		return DryRunResult{}, err
	}
	r := &dryRun{e: e, plan: p, began: time.Now()}
	if err := r.run(ctx); err != nil {
		return DryRunResult{}, err
	}
	return r.result, nil
}

// dryRunOf fills in what a job would do, and returns why it would not begin.
type dryRunOf func(ctx context.Context, e *Engine, d *DryRunResult) error

// dryRuns are those of kinds of jobs that have several steps.
var dryRuns = map[jobs.Kind]func(jobs.Job) dryRunOf{}

// dryRunProgram is DryRun for a job of several steps.
func (e *Engine) dryRunProgram(ctx context.Context, job jobs.Job, program *program) (DryRunResult, error) {
	spec := job.Spec()
	show := dryRuns[spec.Kind]
	if show == nil {
		return DryRunResult{}, fmt.Errorf("%w %s: a dry run cannot show a job of this kind (its steps: %s)", jobs.ErrSpec, spec.Name, strings.Join(program.names(), ", "))
	}
	if err := spec.Validate(); err != nil {
		return DryRunResult{}, err
	}
	if program.wrong != nil {
		return DryRunResult{}, fmt.Errorf("%w %s: %w", jobs.ErrSpec, spec.Name, program.wrong)
	}
	d := noResult()
	begun, err := record.Load(ctx, e.readQuerier(), spec.Name)
	switch {
	case err == nil:
		if err := e.planProgram(spec, program).compatible(begun); err != nil {
			return DryRunResult{}, err
		}
		d.Begun = begun.Phase
	case !errors.Is(err, ErrUnknownJob):
		return DryRunResult{}, err
	}
	err = show(job)(ctx, e, &d)
	return d, err
}

// noResult is one with nothing in it.
func noResult() DryRunResult {
	return DryRunResult{Matching: -1, WALBytes: -1, GrowBytes: -1, ImageBytes: -1, FreeBytes: -1, TimeLow: -1, TimeHigh: -1}
}

// names are those of the steps.
func (p *program) names() []string {
	names := make([]string, len(p.steps))
	for i, s := range p.steps {
		names[i] = s.Name
	}
	return names
}

// dryRun is one that is under way.
type dryRun struct {
	plan
	e      *Engine
	began  time.Time
	begun  checkpoint.Checkpoint // of a job that has run
	result DryRunResult

	apply func(ctx context.Context, q lite.Querier, row lite.Range) (changed int, err error) // what takes more than a statement; or nil
	scan  time.Duration                                                                      // to look at all rows once; 0 if that was not measured
	tried tried
}

func (r *dryRun) run(ctx context.Context) error {
	key := r.table.Key
	r.result = noResult()
	r.result.Table, r.result.Key = r.table.Name, strings.Join(key.Names(), ", ")
	var err error
	if r.begun, err = checkpoint.Load(ctx, r.e.readQuerier(), r.spec.Name); err != nil && !errors.Is(err, checkpoint.ErrUnknown) {
		return err
	}
	r.result.Begun = r.begun.Phase

	live, err := r.e.watchOthers(ctx)
	if err != nil {
		return err
	}
	defer live.close()
	for _, part := range []func(context.Context) error{r.count, r.imageRoom, r.explain, r.warn, r.sample} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if r.result.LiveLoad, err = live.seen(ctx); err != nil {
		return err
	}
	r.result.Measured = time.Since(r.began)
	return r.forecast(ctx)
}

// imageRoom tells how much room an image of a row takes.
func (r *dryRun) imageRoom(ctx context.Context) (err error) {
	r.result.ImageBytes, err = imageBytes(ctx, r.e.readQuerier(), r.plan)
	return err
}

// count counts the rows of the table and those that match, in short reads.
func (r *dryRun) count(ctx context.Context) error {
	q, d := r.e.readQuerier(), &r.result
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+lite.Main(r.table.Name)).Scan(&d.Rows); err != nil {
		return fmt.Errorf("count the rows of %s: %w", r.table.Name, err)
	}
	if r.spec.Where == "" {
		d.Matching = d.Rows
		return nil
	}
	if len(r.spec.Args) > 0 {
		return nil
	}
	_, upper, err := r.table.Key.Bounds(ctx, q)
	if err != nil {
		return err
	}

	began := time.Now()
	failing := &failures{}
	d.Matching, err = r.e.countTodo(ctx, lite.Tally{Key: r.table.Key, Upper: upper, Cond: r.spec.Where,
		Between: func() error { return ctx.Err() }, Fails: failing.add})
	if err != nil {
		return fmt.Errorf("count the rows that match: %w", err)
	}
	r.scan = time.Since(began) * time.Duration(r.e.countersOf(r.table.Key))
	if n := failing.count(); n > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the condition fails on %d rows, which would go into quarantine", n))
	}
	return nil
}

// explain tells what a batch is made of and what it sets off.
func (r *dryRun) explain(ctx context.Context) error {
	calls := r.open()
	defer closeCalls(calls)
	conn, err := r.e.guest.Conn(ctx) // only the host's connection knows of TEMP triggers
	if err != nil {
		return fmt.Errorf("wait for the connection: %w", err)
	}
	defer conn.Close()

	d, statement := &r.result, r.statement(calls, []string{r.spec.Where}, true)
	text, args := statement.SQL(r.table.Key.Sample())
	d.Statement = text
	if d.Plan, err = lite.Plan(ctx, conn, text, args); err != nil {
		return err
	}
	d.PlanSummary = summary(d.Plan)
	return r.sideEffects(ctx, conn, statement)
}

// summary is a plan in words.
func summary(plan []string) string {
	text := "each batch searches the key and reads its own rows only"
	if !strings.HasPrefix(plan[0], "SEARCH") {
		text = "each batch scans the whole table, which is small"
	}

	often := "once a batch"
	for _, step := range plan[1:] {
		switch scanned, isScan := strings.CutPrefix(step, "SCAN "); {
		case strings.HasPrefix(step, "CORRELATED"):
			often = "for each row"
		case strings.Contains(step, "SUBQUERY"):
			often = "once a batch"
		case isScan && !strings.HasPrefix(scanned, "CONSTANT"):
			text += fmt.Sprintf("; %s it scans all of %s", often, strings.Fields(scanned)[0])
		}
	}
	return text
}

func (r *dryRun) sideEffects(ctx context.Context, q lite.Querier, statement lite.Statement) error {
	d := &r.result
	effects, err := r.table.EffectsOf(ctx, q, statement)
	if err != nil {
		return err
	}
	for _, t := range effects.Triggers {
		t.Calls = list(t.Calls)
		d.Triggers = append(d.Triggers, DryRunTrigger(t))
	}
	if effects.Deferred {
		d.Notes = append(d.Notes, "a foreign key is deferred: it is checked at COMMIT, which a dry run does not reach")
	}

	references, err := r.table.References(ctx, q)
	if err != nil {
		return err
	}
	for _, ref := range references {
		switch {
		case r.spec.Kind == jobs.KindDelete:
			d.ForeignKeys = append(d.ForeignKeys, DryRunForeignKey{ref.Table, ref.Columns, "on delete " + strings.ToLower(ref.OnDelete)})
		case r.sets(ref.To):
			d.ForeignKeys = append(d.ForeignKeys, DryRunForeignKey{ref.Table, ref.Columns, "on update " + strings.ToLower(ref.OnUpdate)})
		}
	}
	return nil
}

// sets reports whether the job writes one of these columns.
func (r *dryRun) sets(columns []string) bool {
	for _, column := range columns {
		for _, written := range r.spec.Writes() {
			if lite.SameName(column, written) {
				return true
			}
		}
	}
	return false
}

// imageBytes is about how much room the image of a row takes, -1 for a job that keeps none.
func imageBytes(ctx context.Context, q lite.Querier, p plan) (int64, error) {
	if !p.spec.KeepBefore {
		return -1, nil
	}
	set, err := p.describeImages(ctx, q)
	if err != nil {
		return -1, err
	}
	return set.Estimate(ctx, q, p.table.Key)
}
