package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
)

var (
	// ErrRowsBreakShape is returned, with ErrShape, where it is rows of the table that stand in the way; the message
	// counts them, and names the first. Change them, or the shape.
	ErrRowsBreakShape = chunkfill.ErrRowsBreakShape
	// ErrNoRoom is returned for a job that makes a table for which the disk has no room; the message says how
	// much it takes. Make room.
	ErrNoRoom = errors.New("there is not enough room on the disk")
)

// brokenShape says the way out where rows that were written since keep a step from being made.
func brokenShape(err error) error {
	var rows reshape.BrokenRows
	if !errors.As(err, &rows) {
		return err
	}
	return fmt.Errorf("%w: %w: %w; change or delete what the new shape does not allow, then retry, or cancel the job", ErrShape, ErrRowsBreakShape, err)
}

// rehearse tries the change of the schema. What is to be read then is read elsewhere.
func (r rebuild) rehearse(ctx context.Context, c lite.Querier) (func(context.Context, *Engine) error, error) {
	if err := alone(ctx, c, r.spec.Name, r.spec.Table); err != nil {
		return nil, err
	}
	found, err := r.wanted.Rehearse(ctx, c)
	return func(ctx context.Context, e *Engine) error { return r.look(ctx, e, found) }, err
}

// look refuses a job for which the rows, or the disk, are not as they have to be.
func (r rebuild) look(ctx context.Context, e *Engine, found reshape.Rehearsed) error {
	f, err := r.foresee(ctx, e, found)
	if err != nil {
		return err
	}
	if len(f.refusals) > 0 {
		return errors.Join(f.refusals...)
	}

	log := e.log.With("migration", r.spec.Name, "table", r.spec.Table)
	switch plain := f.estimate.Plain; {
	case plain >= 0 && plain <= e.cfg.TargetHold:
		log.Info("chunkfill: a plain CREATE INDEX would hold the writer for no longer than live writes may wait, and is right here", "plain_hold", plain)
	case plain >= 0:
		log.Info("chunkfill: a plain CREATE INDEX would hold the writer in one piece", "plain_hold", plain)
	}
	if len(found.Lost) > 0 && !r.spec.KeepOld {
		log.Warn("chunkfill: the new shape does not have these columns, whose values are lost with the old table", "columns", strings.Join(found.Lost, ", "))
	}
	for _, q := range f.queries {
		if !q.Uses {
			log.Warn("chunkfill: a query will not use what the job makes for it", "query", q.Query, "plan", strings.Join(q.After, "; "))
		}
	}
	return nil
}

// foresight is what is known of a job before it begins.
type foresight struct {
	estimate reshape.Estimate
	queries  []DryRunQuery
	refusals []error

	reused, needed int64 // bytes; -1 for a database in memory
}

func (r rebuild) foresee(ctx context.Context, e *Engine, found reshape.Rehearsed) (f foresight, err error) {
	if err := found.Broken(ctx, e.guest); err != nil {
		f.refusals = append(f.refusals, err)
	}
	err = e.beside(ctx, func(q lite.Querier, between func() error) (err error) {
		if f.queries, err = r.plans(ctx, q, found.Plans); err != nil {
			return err
		}
		if f.estimate, err = found.Draft.Estimate(ctx, q, between); err != nil {
			return err
		}
		if err := f.room(ctx, q, e); err != nil {
			return err
		}
		breaches, err := reshape.Look{Rules: found.Rules, Between: between}.Breaches(ctx, q)
		for _, text := range breaches {
			f.refusals = append(f.refusals, fmt.Errorf("%w: %w: %s", ErrShape, ErrRowsBreakShape, text))
		}
		return err
	})
	return f, err
}

// plans are those of the job's queries.
func (r rebuild) plans(ctx context.Context, q lite.Querier, after [][]string) (all []DryRunQuery, err error) {
	made := reshape.NewIndexes(r.spec.Schema)
	for i, query := range r.spec.Queries {
		before, err := reshape.QueryPlan(ctx, q, query)
		if err != nil {
			return nil, err
		}
		all = append(all, DryRunQuery{Query: query, Before: before, After: after[i], Uses: reshape.Uses(after[i], made)})
	}
	return all, nil
}

// room refuses a job for which the disk is too small: while it copies the old table is there as well.
func (f *foresight) room(ctx context.Context, q lite.Querier, e *Engine) error {
	f.reused, f.needed = -1, -1
	if e.file.Path == "" {
		return nil
	}
	var unused int64
	if err := q.QueryRowContext(ctx, "PRAGMA main.freelist_count").Scan(&unused); err != nil {
		return fmt.Errorf("read how much of the file is unused: %w", err)
	}
	made := f.estimate.TableBytes + f.estimate.IndexBytes
	f.reused = min(made, unused*int64(e.file.PageSize))
	f.needed = made - f.reused + e.cfg.WALBudget

	if free := freeBytes(e.file.Path); e.cfg.MinFree >= 0 && free < f.needed+e.cfg.MinFree {
		f.refusals = append(f.refusals, fmt.Errorf("%w of %s: the new table takes about %s and its indexes %s, of which %s fit into unused pages of the file; "+
			"the write-ahead log takes up to %s, and %s are to stay free (MinFree); there are %s; make room, or move the database to a larger disk",
			ErrNoRoom, e.file.Path, mebibytes(f.estimate.TableBytes), mebibytes(f.estimate.IndexBytes), mebibytes(f.reused),
			mebibytes(e.cfg.WALBudget), mebibytes(e.cfg.MinFree), mebibytes(free)))
	}
	return nil
}

// mebibytes is a number of bytes in words.
func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }

// beside runs fn on a connection on which TEMP tables do not show to the application, nor hold it up. Where there can be
// none but the application's, it is lent for a statement at a time.
func (e *Engine) beside(ctx context.Context, fn func(q lite.Querier, between func() error) error) error {
	var breath kernel.Breath
	defer breath.Close()
	between := func() error {
		breath.Take(1)
		return ctx.Err()
	}
	if e.reader == nil {
		return fn(e.guest, between)
	}
	conn, err := e.reader.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	defer conn.Close()
	return fn(conn, between)
}
