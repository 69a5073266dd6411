package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/archive"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// Steps of a job that moves rows into an archive.
const (
	archiveBegins = "archive" // its pin tells the archive
	archiveMoves  = "move"
	archiveEnds   = "settle"
)

func init() {
	programs[jobs.KindArchive] = func(job jobs.Job) *program {
		switch job := job.(type) {
		case jobs.Archive:
			return newArchive(job)
		case *jobs.Archive:
			return newArchive(*job)
		}
		return wrapped(job)
	}
}

// archiver is the program of a jobs.Archive, for one run.
type archiver struct {
	spec  jobs.Spec // of the rows
	to    archive.Target
	wrong error // about the job itself

	e     *Engine
	pin   string // of the archive that was made
	file  *archive.File
	chunk *archive.Chunk

	columns []string // of the rows that are copied
	tries   int      // how often in a row rows had to be copied again
}

func newArchive(job jobs.Archive) *program {
	a := &archiver{to: archive.Target{Path: job.File, Table: job.Into}}
	frozen, err := freeze(jobs.Spec{Kind: jobs.KindDelete, Name: job.Name, Table: job.Table, Where: job.Where, Args: job.Args})
	a.spec, a.wrong = frozen.spec, err
	if a.spec.Where == "" {
		a.spec.Where = "1"
	}
	if len(a.spec.Args) == 0 {
		a.spec.Todo = a.spec.Where
	}
	if a.to.Table == "" {
		a.to.Table = job.Table
	}
	if job.File != "" {
		if a.to.Path, err = filepath.Abs(job.File); err != nil && a.wrong == nil {
			a.wrong = fmt.Errorf("%w %s: the path of the archive: %w", jobs.ErrSpec, job.Name, err)
		}
	}
	return a.program()
}

func (a *archiver) program() *program {
	p := &program{definition: a.describe(), rehearse: a.rehearse, use: func(e *Engine) { a.e = e }, close: a.close, notes: a.notes}
	move := step{Step: chunkfill.Step{Name: archiveMoves, Kind: chunkfill.Walk}, load: a.load, intact: a.intact, apply: a.applySame}
	if a.to.Path == "" {
		p.steps = []step{{Step: chunkfill.Step{Name: archiveBegins, Kind: chunkfill.Once}, once: a.makeTable}, move}
	} else {
		p.volume = a.to.Path
		move.apply, move.precopy = a.apply, a.precopy
		p.steps = []step{{Step: chunkfill.Step{Name: archiveBegins, Kind: chunkfill.Once}, before: a.begin, once: a.begun}, move}
	}
	if a.spec.Todo != "" {
		p.steps = append(p.steps, step{Step: chunkfill.Step{Name: "verify", Kind: chunkfill.Verify, Of: archiveMoves}})
	}
	if a.to.Path != "" {
		p.steps = append(p.steps, step{Step: chunkfill.Step{Name: archiveEnds, Kind: chunkfill.Once, Of: archiveMoves}, before: a.end, once: nothing})
	}
	return p
}

func nothing(context.Context, lite.Querier) (made, error) { return made{}, nil }

// describe has all that makes the job what it is.
func (a *archiver) describe() string {
	text := "ARCHIVE " + a.spec.Table + " INTO " + a.to.Table
	if a.to.Path != "" {
		text += " OF " + a.to.Path
	}
	if a.spec.Where != "1" {
		text += " WHERE " + a.spec.Where
	}
	if len(a.spec.Args) > 0 {
		args := make([]string, len(a.spec.Args))
		for i, v := range a.spec.Args {
			args[i] = argument(v)
		}
		text += " (" + digest(args) + ")" // values are not for logs
	}
	return text
}

// rehearse refuses a new job that could not be right.
func (a *archiver) rehearse(ctx context.Context, c lite.Querier) (func(context.Context, *Engine) error, error) {
	look := func(context.Context, *Engine) error { return nil }
	if a.wrong != nil {
		return look, a.wrong
	}
	table, err := lite.LoadTable(ctx, c, a.spec.Table)
	if err != nil {
		return look, err
	}
	if a.to.Path == "" {
		if lite.SameName(a.to.Table, table.Name) {
			return look, fmt.Errorf("%w %s: the archive is the table itself; name another table, or another file", jobs.ErrSpec, a.spec.Name)
		}
		spec := a.spec
		spec.Table = a.to.Table
		if err := spec.Validate(); err != nil {
			return look, err
		}
	}
	if err := a.checkReferences(ctx, c, table); err != nil {
		return look, err
	}
	if err := (rewrite{spec: a.spec, table: table}).check(ctx, c); err != nil {
		return look, err
	}
	if a.to.Path == "" {
		return look, archive.Beside{Table: table, Into: a.to.Table}.Make(ctx, c)
	}
	return func(ctx context.Context, e *Engine) error { return a.look(ctx, e.readQuerier(), table) }, nil
}

// look holds a new job against what is there, without a hold.
func (a *archiver) look(ctx context.Context, q lite.Querier, table lite.Table) error {
	if err := table.CheckNulls(ctx, q); err != nil {
		return err
	}
	var main string
	if err := q.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&main); err != nil {
		return err
	}
	return archive.CheckPath(main, a.to.Path)
}

// checkReferences refuses a table whose rows take others with them.
func (a *archiver) checkReferences(ctx context.Context, q lite.Querier, table lite.Table) error {
	list, err := table.References(ctx, q)
	if err != nil {
		return err
	}
	for _, r := range list {
		if slices.Contains([]string{"CASCADE", "SET NULL", "SET DEFAULT"}, r.OnDelete) {
			return fmt.Errorf("%w %s: %s (%s) refers to %s with ON DELETE %s, and of the rows that this would change nothing would be archived; "+
				"archive or delete the rows of %s first, and have the foreign key say RESTRICT or NO ACTION",
				jobs.ErrSpec, a.spec.Name, r.Table, strings.Join(r.Columns, ", "), table.Name, r.OnDelete, r.Table)
		}
	}
	return nil
}

func (a *archiver) load(_ context.Context, _ lite.Querier, to *step) error {
	to.rows = a.spec
	return a.wrong
}

// intact looks whether deleting a row still takes nothing else with it.
func (a *archiver) intact(ctx context.Context, q lite.Querier) error {
	table, err := lite.LoadTable(ctx, q, a.spec.Table)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	if err := a.checkReferences(ctx, q, table); err != nil {
		return fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	if a.to.Path == "" {
		return archive.Beside{Table: table, Into: a.to.Table}.Check(ctx, q)
	}
	if a.columns != nil && !slices.Equal(a.columns, archive.Columns(table)) {
		return fmt.Errorf("%w: %s has got or lost a column while its rows are moved, and the archive has the others; "+
			"give the table of the archive the same columns and start the job again", ErrTableChanged, table.Name)
	}
	return nil
}

// begin makes the archive, before the hold that records it.
func (a *archiver) begin(ctx context.Context) error {
	table, err := lite.LoadTable(ctx, a.e.readQuerier(), a.spec.Table)
	if err != nil {
		return err
	}
	a.pin, err = archive.Begin(ctx, a.e.db, a.e.file.Path, a.to, a.spec.Name, table)
	return err
}

func (a *archiver) begun(context.Context, lite.Querier) (made, error) {
	return made{pins: map[string]string{archiveBegins: a.pin}}, nil
}

// open opens the archive, as the job's record knows it.
func (a *archiver) open(ctx context.Context, table lite.Table) error {
	if a.file != nil {
		return nil
	}
	begun, err := record.Load(ctx, a.e.readQuerier(), a.spec.Name)
	if err != nil {
		return err
	}
	a.file, err = archive.Open(ctx, a.e.db, a.e.file.Path, a.to, begun.Pins[archiveBegins], table)
	a.columns = archive.Columns(table)
	return err
}

// rows are those to be copied.
func (a *archiver) rows(table lite.Table, where []string) archive.Rows {
	return archive.Rows{Table: table, Where: where, Args: a.spec.Args, Gone: func(ctx context.Context, q lite.Querier) (gone int64, err error) {
		err = q.QueryRowContext(ctx, "SELECT coalesce(sum(rows_changed), 0) FROM main._async_migration_ranges WHERE name = ? AND step = ?",
			a.spec.Name, archiveMoves).Scan(&gone)
		return gone, err
	}}
}

// As often is a chunk copied again, each time a shorter one, before the row that changes all the
// time is left to the second pass.
const mostTries = 30

// precopy copies the next rows into the archive.
func (a *archiver) precopy(ctx context.Context, next ahead) (lite.Pos, error) {
	if err := a.open(ctx, next.table); err != nil {
		return nil, err
	}
	if a.chunk != nil { // all of it is done
		a.tries = 0
	}
	a.drop()

	rows := a.rows(next.table, next.where)
	rows.After, rows.Upto, rows.N = next.after, next.upto, max(1, next.n>>a.tries)
	if a.tries > mostTries {
		rows.Where, rows.N = append(slices.Clone(rows.Where), "0"), 1
	}
	chunk, err := a.file.Copy(ctx, rows)
	if err != nil {
		return nil, err
	}
	a.chunk = chunk
	return chunk.End, nil
}

func (a *archiver) drop() {
	if a.chunk != nil {
		a.chunk.Close()
		a.chunk = nil
	}
}

// apply deletes the rows of a stretch that are as they were copied. If one that was copied is not
// deleted, since it has changed, nothing of the batch may stand.
func (a *archiver) apply(ctx context.Context, c lite.Querier, s stretch) (int, error) {
	if a.chunk == nil { // it is one row out of quarantine
		if err := a.one(ctx, s); err != nil {
			return 0, err
		}
		defer a.drop()
	}
	from, begins := a.chunk.Place(s.After)
	to, ends := a.chunk.Place(s.End)
	if !begins || !ends {
		return 0, a.stale()
	}
	cond := a.chunk.Has(archive.Hash(s.table), s.table.Key.Literals())
	n, err := s.table.Key.DeleteStatement(append(slices.Clone(s.where), cond), a.spec.Args).Run(ctx, c, s.Range)
	if err == nil && n != a.chunk.Between(from, to) {
		err = a.stale()
	}
	return n, err
}

// one copies one row, inside the hold in which it is tried again.
func (a *archiver) one(ctx context.Context, s stretch) (err error) {
	if err := a.open(ctx, s.table); err != nil {
		return err
	}
	a.chunk, err = a.file.CopyOne(ctx, a.rows(s.table, s.where), s.End)
	return err
}

// stale has the rows copied again.
func (a *archiver) stale() error {
	a.drop()
	a.tries++
	return errStale
}

// makeTable makes the table of the archive in the same file.
func (a *archiver) makeTable(ctx context.Context, c lite.Querier) (made, error) {
	table, err := lite.LoadTable(ctx, c, a.spec.Table)
	if err != nil {
		return made{}, err
	}
	return made{}, archive.Beside{Table: table, Into: a.to.Table}.Make(ctx, c)
}

// applySame moves the rows of a stretch to another table of the same file.
func (a *archiver) applySame(ctx context.Context, c lite.Querier, s stretch) (int, error) {
	return archive.Beside{Table: s.table, Into: a.to.Table}.Move(ctx, c, s.Range, s.where, a.spec.Args)
}

// end brings the archive in order after the last row, before the hold that records it.
func (a *archiver) end(ctx context.Context) error {
	table, err := lite.LoadTable(ctx, a.e.readQuerier(), a.spec.Table)
	if err != nil {
		return err
	}
	if err := a.open(ctx, table); err != nil {
		return err
	}
	return a.file.End(ctx, a.rows(table, nil))
}

// close closes what a run has opened. What was copied and is not deleted is taken out of the archive.
func (a *archiver) close(ctx context.Context) error {
	a.drop()
	if a.file == nil {
		return nil
	}
	file := a.file
	a.file = nil
	table, err := lite.LoadTable(ctx, a.e.readQuerier(), a.spec.Table)
	if err == nil {
		err = file.TakeOut(ctx, a.rows(table, nil))
	}
	return errors.Join(err, file.Close())
}
