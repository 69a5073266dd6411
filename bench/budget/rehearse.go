package budget

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

// Rehearse runs the job on a copy of the database and reports how it went. An error means
// that nothing can be said; a job that fails on the copy is reported. The original is only
// read.
func Rehearse(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	cfg = cfg.withDefaults()
	dir, err := os.MkdirTemp(cfg.Dir, "chunkfill-budget-")
	if err != nil {
		return Report{}, fmt.Errorf("make room for the copy: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "copy.db")
	if err := copyDatabase(ctx, cfg.Path, path, cfg.Progress); err != nil {
		return Report{}, err
	}
	db, err := openCopy(path)
	if err != nil {
		return Report{}, err
	}
	defer db.Close()
	r := rehearsal{cfg: cfg, db: db, report: Report{Config: cfg}}
	if err := r.run(ctx); err != nil {
		return Report{}, fmt.Errorf("rehearse %s: %w", cfg.Job.Spec().Name, err)
	}
	r.report.judge()
	return r.report, nil
}

// rehearsal is a rehearsal in progress.
type rehearsal struct {
	cfg    Config
	db     *sql.DB
	engine *engine.Engine
	watch  watch
	report Report
	stop   context.CancelFunc // ends the sample of the first rows
}

func (r *rehearsal) run(ctx context.Context) (err error) {
	cfg := r.cfg.Engine
	cfg.OnHold = r.watch.hold
	if r.engine, err = engine.New(r.db, cfg); err != nil {
		return err
	}
	defer r.engine.Close()
	job := whole(r.cfg.Job)
	all, err := r.engine.DryRun(ctx, job)
	if err != nil {
		return err
	}
	r.report.Rows, r.report.Matching = all.Rows, all.Matching
	if r.cfg.Rows == 0 || r.cfg.Rows >= all.Rows {
		return r.wholly(ctx, job)
	}
	integer, err := integerKey(ctx, r.db, all)
	if err != nil {
		return err
	}
	if integer {
		return r.onStretches(ctx, job, all)
	}
	return r.onFirstRows(ctx, job)
}

func (r *rehearsal) wholly(ctx context.Context, job rehearsed) error {
	r.report.Method = Whole
	took, err := r.time(ctx, job, r.report.Rows)
	if err != nil {
		return err
	}
	r.report.Rehearsed = r.report.Rows
	r.report.Predicted, r.report.Low, r.report.High = took, took, took
	return nil
}

// onStretches walks the whole table but rewrites only a sample of it. The cost of the walk
// and of the final check is measured on the whole table, too.
func (r *rehearsal) onStretches(ctx context.Context, job rehearsed, all engine.DryRunResult) error {
	r.report.Method = Stretches
	parts, err := stretchesOf(ctx, r.db, all, r.cfg.Rows)
	if err != nil {
		return err
	}
	sample := job.on(all.Key, parts)
	some, err := r.engine.DryRun(ctx, sample)
	if err != nil {
		return err
	}
	r.watch.sample = true
	if _, err := r.time(ctx, sample, all.Rows); err != nil || r.report.Failure != "" {
		return err
	}
	r.report.Rehearsed = min(r.cfg.Rows, all.Rows)
	changed := float64(r.report.Changed) * float64(all.Rows) / float64(r.report.Rehearsed)
	if all.Matching >= 0 && some.Matching > 0 {
		changed = float64(r.report.Changed) * float64(all.Matching) / float64(some.Matching)
	}
	return r.predict(ctx, job, changed, 0)
}

// onFirstRows stops after the given number of rows, for a table in which no other part can
// be selected.
func (r *rehearsal) onFirstRows(ctx context.Context, job rehearsed) error {
	r.report.Method = FirstRows
	ctx, r.stop = context.WithCancel(ctx)
	defer r.stop()
	if _, err := r.time(ctx, job, r.cfg.Rows); err != nil || r.report.Failure != "" {
		return err
	}
	r.report.Rehearsed = r.watch.rows
	changed := float64(r.report.Matching)
	if r.report.Matching < 0 {
		changed = float64(r.report.Changed) * float64(r.report.Rows) / float64(max(1, r.watch.rows))
	}
	return r.predict(context.WithoutCancel(ctx), job, changed, prefixError)
}

// time runs the job and records the outcome in the report. A job that fails on its own is
// not an error.
func (r *rehearsal) time(ctx context.Context, job rehearsed, of int64) (time.Duration, error) {
	r.watch.began = time.Now()
	r.watch.seen = func(rows int64) {
		r.cfg.Progress("rehearse", rows, of)
		if r.stop != nil && rows >= of {
			r.stop()
		}
	}
	result, err := r.engine.Run(ctx, job)
	took := time.Since(r.watch.began)
	r.report.Took, r.report.Changed, r.report.Quarantined = took, result.Changed, result.Quarantined
	r.report.MaxHold, r.report.P99Hold = r.watch.longest()
	stopped := errors.Is(err, engine.ErrInterrupted) && r.stop != nil && r.watch.rows >= of
	switch {
	case err == nil || stopped:
		return took, nil
	case ctx.Err() != nil || len(r.watch.steps) == 0:
		return took, err
	}
	r.report.Failure = err.Error()
	return took, nil
}

// predict scales the cost of the sample to the whole table. The final check of a
// job that has one reads the whole table; it is timed as it is.
func (r *rehearsal) predict(ctx context.Context, job rehearsed, changed, leastError float64) error {
	cost := r.watch.cost()
	fixed := r.watch.setup
	if job.spec.Todo != "" {
		began := time.Now()
		if _, err := r.engine.Verify(ctx, job); err != nil {
			return err
		}
		fixed += time.Since(began)
	}
	spread := max(leastError, cost.relativeError())
	seconds := cost.seconds(changed, float64(r.report.Rows))
	at := func(factor float64) time.Duration {
		return fixed + time.Duration(seconds*factor*float64(time.Second))
	}
	r.report.Predicted, r.report.Low, r.report.High = at(1), at(1-min(1, spread)), at(1+spread)
	return nil
}
