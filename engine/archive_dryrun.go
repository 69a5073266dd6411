package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

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
	p.program, p.step = nil, nil // nothing is copied

	r := &dryRun{e: e, plan: p, began: time.Now()}
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

// notes says where rows would go.
func (a *archiver) notes(ctx context.Context) []string {
	if a.path == "" {
		return []string{fmt.Sprintf("each row is moved to table %s of the same file, in the transaction that deletes it%s", a.into, a.made(a.tableExists(ctx)))}
	}
	_, err := os.Stat(a.path)
	return []string{
		fmt.Sprintf("each row is moved to table %s of %s%s", a.into, a.path, a.made(!errors.Is(err, os.ErrNotExist))),
		fmt.Sprintf("a commit there for each %d rows, synced, comes to the time; %d bytes are free on its disk", precopyRows, freeBytes(a.path)),
	}
}

func (a *archiver) made(exists bool) string {
	if exists {
		return ""
	}
	return ", which does not exist and would be made"
}

func (a *archiver) tableExists(ctx context.Context) bool {
	_, err := lite.LoadTable(ctx, a.e.readQuerier(), a.into)
	return err == nil
}
