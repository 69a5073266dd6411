package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
	spec     jobs.Spec // of the rows
	path     string    // of the archive; "" for tables of the same file
	into     string
	children []archive.Name
	wrong    error // about the job itself

	e     *Engine
	pin   string // of the archive that was made
	file  *archive.File
	chunk *archive.Chunk

	family   archive.Family // the tables as rows are copied from them
	enforced bool           // foreign keys, when the tables were looked at
	again    bool           // rows in quarantine of a job that is done are tried again

	halved int // how often less than precopyRows are copied
	tries  int // how often in a row rows had to be copied again
}

func newArchive(job jobs.Archive) *program {
	a := &archiver{halved: firstHalved, into: cmp.Or(job.Into, job.Table)}
	for _, child := range job.Children {
		a.children = append(a.children, archive.Name{Table: child.Table, Into: cmp.Or(child.Into, child.Table)})
	}
	frozen, err := freeze(jobs.Spec{Kind: jobs.KindDelete, Name: job.Name, Table: job.Table, Where: job.Where, Args: job.Args})
	a.spec, a.wrong = frozen.spec, err
	if a.spec.Where == "" {
		a.spec.Where = "1"
	}
	if len(a.spec.Args) == 0 {
		a.spec.Todo = a.spec.Where
	}
	if job.File != "" {
		if a.path, err = filepath.Abs(job.File); err != nil && a.wrong == nil {
			a.wrong = fmt.Errorf("%w %s: the path of the archive: %w", jobs.ErrSpec, job.Name, err)
		}
	}
	if a.wrong == nil {
		a.wrong = checkArchives(a.spec, a.into, a.path == "", a.children)
	}
	return a.program()
}

func (a *archiver) program() *program {
	p := &program{definition: a.describe(), rehearse: a.rehearse, use: func(e *Engine) { a.e = e }, close: a.close, notes: a.notes}
	if len(a.children) > 0 {
		p.sample = a.sample
	}
	move := step{Step: chunkfill.Step{Name: archiveMoves, Kind: chunkfill.Walk}, load: a.plan, intact: a.intact, apply: a.applySame}
	if a.path == "" {
		p.steps = []step{{Step: chunkfill.Step{Name: archiveBegins, Kind: chunkfill.Once}, once: a.makeTable}, move}
	} else {
		p.volume = a.path
		move.apply, move.precopy = a.apply, a.precopy
		p.steps = []step{{Step: chunkfill.Step{Name: archiveBegins, Kind: chunkfill.Once}, before: a.begin, once: a.begun}, move}
	}
	if a.spec.Todo != "" {
		p.steps = append(p.steps, step{Step: chunkfill.Step{Name: "verify", Kind: chunkfill.Verify, Of: archiveMoves}})
	}
	if a.path != "" {
		p.steps = append(p.steps, step{Step: chunkfill.Step{Name: archiveEnds, Kind: chunkfill.Once, Of: archiveMoves}, before: a.end, once: nothing})
	}
	return p
}

func nothing(context.Context, lite.Querier) (made, error) { return made{}, nil }

// describe has all that makes the job what it is.
func (a *archiver) describe() string {
	text := "ARCHIVE " + a.spec.Table + " INTO " + a.into
	if a.path != "" {
		text += " OF " + a.path
	}
	for _, child := range a.children {
		text += " WITH " + child.Table + " INTO " + child.Into
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
	family, err := a.load(ctx, c)
	if err != nil {
		return look, fmt.Errorf("job %s: %w", a.spec.Name, err)
	}
	if err := (rewrite{spec: a.spec, table: family.Table}).check(ctx, c); err != nil {
		return look, err
	}
	if a.path == "" {
		return look, archive.Beside{Family: family}.Make(ctx, c)
	}
	return func(ctx context.Context, e *Engine) error { return a.look(ctx, e, family) }, nil
}

// checkArchives refuses tables that rows cannot go to.
func checkArchives(of jobs.Spec, target string, beside bool, children []archive.Name) error {
	into := map[string]string{}
	for _, m := range append([]archive.Name{{Table: of.Table, Into: target}}, children...) {
		folded := lite.FoldName(m.Into)
		spec := jobs.Spec{Kind: jobs.KindDelete, Name: of.Name, Table: m.Into}
		switch {
		case beside && lite.SameName(m.Into, m.Table):
			return fmt.Errorf("%w %s: the archive of %s is the table itself; name another table, or another file", jobs.ErrSpec, of.Name, m.Table)
		case into[folded] != "":
			return fmt.Errorf("%w %s: the rows of %s and %s would go to one table, %s; name another for one of them", jobs.ErrSpec, of.Name, into[folded], m.Table, m.Into)
		case strings.HasPrefix(folded, "_chunkfill_"):
			return fmt.Errorf("%w %s: %s is a name of chunkfill's own tables; name another table", jobs.ErrSpec, of.Name, m.Into)
		}
		if err := spec.Validate(); err != nil {
			return err
		}
		into[folded] = m.Table
	}
	return nil
}

// load finds the tables whose rows are moved.
func (a *archiver) load(ctx context.Context, q lite.Querier) (archive.Family, error) {
	table, err := lite.LoadTable(ctx, q, a.spec.Table)
	if err != nil {
		return archive.Family{}, err
	}
	return archive.LoadFamily(ctx, q, table, a.into, a.children)
}

// look holds a new job against what is there, without a hold.
func (a *archiver) look(ctx context.Context, e *Engine, family archive.Family) error {
	if err := family.CheckNulls(ctx, e.readQuerier()); err != nil {
		return err
	}
	return archive.Look(ctx, e.db, e.file.Path, a.path, family)
}

func (a *archiver) plan(_ context.Context, _ lite.Querier, to *step) error {
	to.rows = a.spec
	return a.wrong
}

// intact looks whether deleting a row still takes nothing else with it.
func (a *archiver) intact(ctx context.Context, q lite.Querier) error {
	family, err := a.load(ctx, q)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	if a.enforced, err = lite.Enforces(ctx, q); err != nil {
		return err
	}
	if a.path == "" {
		a.family = family
		return archive.Beside{Family: family}.Check(ctx, q)
	}
	if a.file != nil && !family.Same(a.family) {
		return fmt.Errorf("%w: %s, or a table whose rows go with those, has got or lost a column or a foreign key while rows are moved; "+
			"give the table of the archive the same columns and start the job again", ErrTableChanged, family.Name)
	}
	return nil
}

// watch looks again at the foreign keys where the connection enforces them otherwise than when that was looked at.
func (a *archiver) watch(ctx context.Context, q lite.Querier) error {
	enforced, err := lite.Enforces(ctx, q)
	if err != nil || enforced == a.enforced && a.family.Name != "" {
		return err
	}
	return a.intact(ctx, q)
}

// begin makes the archive, before the hold that records it.
func (a *archiver) begin(ctx context.Context) error {
	family, err := a.load(ctx, a.e.readQuerier())
	if err != nil {
		return err
	}
	a.pin, err = archive.Begin(ctx, a.e.db, a.e.file.Path, a.path, a.spec.Name, family)
	return err
}

func (a *archiver) begun(context.Context, lite.Querier) (made, error) {
	return made{pins: map[string]string{archiveBegins: a.pin}}, nil
}

// open opens the archive, as the job's record knows it.
func (a *archiver) open(ctx context.Context) error {
	if a.file != nil {
		return nil
	}
	begun, err := record.Load(ctx, a.e.readQuerier(), a.spec.Name)
	if err != nil {
		return err
	}
	if a.family, err = a.load(ctx, a.e.readQuerier()); err != nil {
		return err
	}
	a.file, err = archive.Open(ctx, a.e.db, a.e.file.Path, a.path, begun.Pins[archiveBegins], a.spec.Name, a.family)
	a.again = begun.Phase == chunkfill.Done
	return err
}

// rows are those to be copied.
func (a *archiver) rows(where []string) archive.Rows {
	return archive.Rows{Family: a.family, Where: where, Args: a.spec.Args, Gone: func(ctx context.Context, q lite.Querier) (gone int64, err error) {
		err = q.QueryRowContext(ctx, "SELECT coalesce(sum(rows_changed), 0) FROM main._async_migration_ranges WHERE name = ? AND step = ?",
			a.spec.Name, archiveMoves).Scan(&gone)
		return gone, err
	}}
}

const (
	firstHalved = 3  // 250 rows: how large they are shows then
	mostHalved  = 11 // one row
	quickCopy   = 250 * time.Millisecond
	slowCopy    = time.Second

	// As often is a chunk copied again, before the row that changes all the time is left to the second pass.
	mostTries = 30
)

// precopy copies the next rows into the archive.
func (a *archiver) precopy(ctx context.Context, next ahead) (lite.Pos, error) {
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	a.family.Table = next.table // its index may have another name by now
	switch {
	case a.chunk == nil: // the first, or stale
	case slices.Equal(a.chunk.End, next.after):
		a.tries = 0
	default: // a row of it has gone into quarantine
		a.halve()
	}
	a.drop()

	rows := a.rows(next.where)
	rows.After, rows.Upto, rows.N = next.after, next.upto, max(1, next.n>>a.halved)
	if a.tries > mostTries {
		rows.Where, rows.N = append(slices.Clone(rows.Where), "0"), 1
	}
	began := time.Now()
	chunk, err := a.file.Copy(ctx, rows)
	if err != nil {
		return nil, err
	}
	switch took := time.Since(began); {
	case took > slowCopy:
		a.halve()
	case took < quickCopy && a.tries == 0:
		a.halved = max(0, a.halved-1)
	}
	a.chunk = chunk
	return chunk.End, nil
}

// halve has fewer rows copied at once.
func (a *archiver) halve() { a.halved = min(mostHalved, a.halved+1) }

func (a *archiver) drop() {
	if a.chunk != nil {
		a.chunk.Close()
		a.chunk = nil
	}
}

// apply deletes the rows of a stretch that are as they were copied. If one that was copied is not
// deleted, since it has changed, nothing of the batch may stand.
func (a *archiver) apply(ctx context.Context, c lite.Querier, s stretch) (int, error) {
	if err := a.watch(ctx, c); err != nil {
		return 0, err
	}
	if a.chunk == nil { // it is one row out of quarantine
		if err := a.one(ctx, s); err != nil {
			return 0, err
		}
		defer a.drop()
	}
	if err := a.file.Check(); err != nil {
		return 0, err
	}
	a.family.Table = s.table
	n, err := a.chunk.Delete(ctx, c, a.family, s.Range, s.where, a.spec.Args)
	if errors.Is(err, archive.ErrStale) {
		return 0, a.stale()
	}
	return n, err
}

// one copies one row, inside the hold in which it is tried again.
func (a *archiver) one(ctx context.Context, s stretch) (err error) {
	if err := a.open(ctx); err != nil {
		return err
	}
	a.family.Table = s.table
	a.chunk, err = a.file.CopyOne(ctx, a.rows(s.where), s.End)
	return err
}

// stale has the rows copied again.
func (a *archiver) stale() error {
	a.drop()
	a.tries++
	a.halve()
	return errStale
}

// makeTable makes the table of the archive in the same file.
func (a *archiver) makeTable(ctx context.Context, c lite.Querier) (made, error) {
	family, err := a.load(ctx, c)
	if err != nil {
		return made{}, err
	}
	return made{}, archive.Beside{Family: family}.Make(ctx, c)
}

// applySame moves the rows of a stretch to another table of the same file.
func (a *archiver) applySame(ctx context.Context, c lite.Querier, s stretch) (int, error) {
	if err := a.watch(ctx, c); err != nil {
		return 0, err
	}
	a.family.Table = s.table
	return archive.Beside{Family: a.family}.Move(ctx, c, s.Range, s.where, a.spec.Args)
}

// end brings the archive in order after the last row, before the hold that records it.
func (a *archiver) end(ctx context.Context) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	return a.file.End(ctx, a.rows(nil))
}

// close closes what a run has opened. What was copied and is not deleted is taken out of the archive.
func (a *archiver) close(ctx context.Context) error {
	a.drop()
	if a.file == nil {
		return nil
	}
	file := a.file
	a.file = nil
	end := file.TakeOut
	if a.again {
		end = file.End
	}
	return errors.Join(end(ctx, a.rows(nil)), file.Close())
}
