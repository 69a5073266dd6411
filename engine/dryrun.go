package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/jobs"
)

// DryRunResult is what a job would do.
type DryRunResult struct {
	Table     string           `json:"table"`
	Key       string           `json:"key"`       // the columns it is walked by
	Rows      int64            `json:"rows"`      // in the table
	Matching  int64            `json:"matching"`  // for which Where holds; -1, in JSON null, if it takes arguments
	Statement string           `json:"statement"` // of one batch
	Plan      []string         `json:"plan"`      // SQLite's plan for it
	Begun     checkpoint.Phase `json:"begun"`     // "" if no job of this name has run

	ImageBytes int64 `json:"image_bytes"` // that an image of a row takes, about, in the database file; -1, in JSON null, without KeepBefore
}

// DryRun checks a job as Start does and reports what it would do. It changes
// nothing and reads on the read-only connection.
//
// It returns ErrSpec, ErrJobChanged and ErrCancelled as Start does; what keeps a job from
// running, see [ErrNoTable] and those after it; and ErrClosed.
func (e *Engine) DryRun(ctx context.Context, job jobs.Job) (d DryRunResult, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return DryRunResult{}, err
	}
	defer leave(&err)
	p, err := e.prepare(ctx, job)
	if err != nil {
		return DryRunResult{}, err
	}
	q, key := e.readQuerier(), p.table.Key
	d = DryRunResult{Table: p.table.Name, Key: strings.Join(key.Names(), ", "), Matching: -1, ImageBytes: -1}
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+lite.Main(p.table.Name)).Scan(&d.Rows); err != nil {
		return d, fmt.Errorf("count the rows of %s: %w", p.table.Name, err)
	}
	if len(p.spec.Args) == 0 {
		matching := key.SelectStatement("count(*)", []string{p.spec.Where}, nil)
		if d.Matching, err = matching.Int(ctx, q, lite.Everything); err != nil {
			return d, fmt.Errorf("count the rows that match: %w", err)
		}
	}
	if err := d.plan(ctx, q, p); err != nil {
		return d, err
	}
	if d.ImageBytes, err = imageBytes(ctx, q, p); err != nil {
		return d, err
	}
	begun, err := checkpoint.Load(ctx, q, p.spec.Name)
	if err == nil {
		d.Begun = begun.Phase
	} else if !errors.Is(err, checkpoint.ErrUnknown) {
		return d, err
	}
	return d, nil
}

func (d *DryRunResult) plan(ctx context.Context, q lite.Querier, p plan) (err error) {
	calls := p.open()
	defer closeCalls(calls)
	statement := p.statement(calls, []string{p.spec.Where}, true)
	text, args := statement.SQL(p.table.Key.Sample())
	d.Statement = text
	d.Plan, err = lite.Plan(ctx, q, text, args)
	return err
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
