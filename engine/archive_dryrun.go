package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/internal/archive"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/jobs"
)

// dryArchive is a dry run of a job that moves rows: that of the delete, and where the rows would go.
func (e *Engine) dryArchive(ctx context.Context, job jobs.Job) (DryRunResult, error) {
	program := programOf(job)
	p, err := e.prepareProgram(ctx, job.Spec(), program)
	if err != nil {
		return DryRunResult{}, err
	}
	if err := e.withConn(ctx, func(q lite.Querier) (err error) {
		p, err = e.planStep(ctx, q, p, archiveMoves)
		return err
	}); err != nil {
		return DryRunResult{}, fmt.Errorf("job %s: %w", job.Spec().Name, err)
	}

	r := &dryRun{e: e, plan: p, began: time.Now(), apply: program.sample}
	r.plan.program, r.plan.step = nil, nil // nothing is copied
	if err := r.run(ctx); err != nil {
		return DryRunResult{}, err
	}
	r.result.Notes = append(r.result.Notes, program.notes(ctx)...)
	return r.result, nil
}

// withConn calls fn with a connection of the host's.
func (e *Engine) withConn(ctx context.Context, fn func(lite.Querier) error) error {
	conn, err := e.guest.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for the connection: %w", err)
	}
	defer conn.Close()
	return fn(conn)
}

// sample deletes a row of a dry run, and all that goes with it.
func (a *archiver) sample(ctx context.Context, q lite.Querier, row lite.Range) (int, error) {
	family, err := a.load(ctx, q)
	if err != nil {
		return 0, err
	}
	return archive.Rows{Family: family, Where: []string{a.spec.Where}, Args: a.spec.Args}.Try(ctx, q, row)
}

// notes says where rows would go.
func (a *archiver) notes(ctx context.Context) (notes []string) {
	if a.path == "" {
		_, err := lite.LoadTable(ctx, a.e.readQuerier(), a.into)
		notes = append(notes, fmt.Sprintf("each row is moved to table %s of the same file, in the transaction that deletes it%s", a.into, wouldBeMade(err == nil)))
	} else {
		_, err := os.Stat(a.path)
		notes = append(notes,
			fmt.Sprintf("each row is moved to table %s of %s%s", a.into, a.path, wouldBeMade(!errors.Is(err, os.ErrNotExist))),
			fmt.Sprintf("a commit there for each %d rows, synced, comes to the time; %s are free on its disk", precopyRows, mebibytes(freeBytes(a.path))))
	}
	for _, child := range a.children {
		notes = append(notes, fmt.Sprintf("rows of %s that refer to them go along, to table %s; they are not counted above", child.Table, child.Into))
	}
	if movesNewest(ctx, a.e.readQuerier(), a.spec) {
		notes = append(notes, "the newest row is moved, too, and without AUTOINCREMENT its id is given out again: "+
			"a later row of that id would find another in the archive, and go into quarantine")
	}
	return notes
}

// movesNewest reports whether an id of the table may be given out again once its row is moved.
func movesNewest(ctx context.Context, q lite.Querier, spec jobs.Spec) bool {
	table, err := lite.LoadTable(ctx, q, spec.Table)
	if err != nil || !table.Key.Rowid {
		return false
	}
	_, last, err := table.Key.Bounds(ctx, q)
	if err != nil || last == nil {
		return false
	}
	s := table.Key.SelectStatement("count(*) AND NOT (SELECT sql LIKE '%AUTOINCREMENT%' FROM main.sqlite_schema WHERE type = 'table' AND name = ?)",
		[]string{spec.Where}, append([]any{table.Name}, spec.Args...))
	n, err := s.Int(ctx, q, table.Key.Only(last))
	return err == nil && n == 1
}

func wouldBeMade(exists bool) string {
	if exists {
		return ""
	}
	return ", which does not exist and would be made"
}
