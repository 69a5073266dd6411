package engine

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// rewrite is what a job, or one step of it, does to the rows of a table.
type rewrite struct {
	spec       jobs.Spec
	given      []any // Args as the host gave them
	table      lite.Table
	step       *step       // of a program, whose rows they are; or nil
	images     *images.Set // that the job keeps of its rows; or nil
	rowTimeout time.Duration
	loose      lite.Querier // a connection that does not enforce foreign keys; nil if there is none
}

// plan is a job that has been held against the database: everything about it that
// does not change while it runs, or, of a program, while a step of it stands.
type plan struct {
	rewrite
	program     *program // of a job that changes the schema; or nil
	fingerprint string
	pin         string // what the table of the step that stands must look like
	unfit       error  // why a job that is done could not be run again
}

// prepare validates a job without writing anything. Only a new job whose key
// could hold NULLs makes it look through an index.
func (e *Engine) prepare(ctx context.Context, job jobs.Job) (p plan, err error) {
	if program := programOf(job); program != nil {
		return e.prepareProgram(ctx, job.Spec(), program)
	}
	if p, err = freeze(job.Spec()); err != nil {
		return p, err
	}
	conn, err := e.guest.Conn(ctx)
	if err != nil {
		return p, fmt.Errorf("wait for the connection: %w", err)
	}
	defer conn.Close()
	p.rowTimeout = e.cfg.RowTimeout
	if e.reader != nil {
		p.loose = e.reader
	}
	if p.table, err = lite.LoadTable(ctx, conn, p.spec.Table); err != nil {
		return p, fmt.Errorf("job %s: %w", p.spec.Name, lite.BlameCollation(ctx, conn, p.spec.Table, err))
	}

	begun, err := checkpoint.Load(ctx, conn, p.spec.Name)
	known := err == nil
	if !known && !errors.Is(err, checkpoint.ErrUnknown) {
		return p, err
	}
	if known {
		p.recognize(begun.Fingerprint)
	}
	if err := p.check(ctx, conn); err != nil {
		return p, fmt.Errorf("job %s: %w", p.spec.Name, lite.BlameCollation(ctx, conn, p.spec.Table, err))
	}
	if p.fingerprint == "" {
		p.fingerprint = p.identity()
	}
	conn.Close() // the rest reads elsewhere, and there may be but one
	if known {
		return p, p.compatible(begun)
	}
	return p, p.table.CheckNulls(ctx, e.readQuerier())
}

// prepareProgram is prepare for a job that changes the schema. Its steps are held against
// the database when it is their turn.
func (e *Engine) prepareProgram(ctx context.Context, spec jobs.Spec, program *program) (plan, error) {
	if programs[spec.Kind] != nil {
		if err := spec.Validate(); err != nil {
			return plan{}, err
		}
	}
	if program.wrong != nil {
		return plan{}, fmt.Errorf("%w %s: %w", jobs.ErrSpec, spec.Name, program.wrong)
	}
	if program.use != nil {
		program.use(e)
	}
	p := e.planProgram(spec, program)
	begun, err := record.Load(ctx, e.readQuerier(), spec.Name)
	fresh := errors.Is(err, ErrUnknownJob)
	if err != nil && !fresh {
		return p, err
	}
	if program.present != nil && (fresh || begun.Step == lookStep) {
		there, err := program.present(ctx, e.readQuerier())
		if err != nil {
			return p, err
		}
		if there || !fresh {
			p.program = program.onlyLook()
		}
	}
	switch {
	case p.program != program && fresh:
		e.log.Info("chunkfill: what the job is to make is there already", "migration", spec.Name, "table", spec.Table)
		return p, nil
	case fresh:
		return p, e.rehearse(ctx, program)
	}
	return p, p.compatible(begun)
}

// planProgram is what is known of such a job without the database.
func (e *Engine) planProgram(spec jobs.Spec, program *program) plan {
	p := plan{rewrite: rewrite{spec: jobs.Spec{Name: spec.Name, Table: spec.Table, Kind: spec.Kind, Version: spec.Version}}, program: program}
	p.rowTimeout = e.cfg.RowTimeout
	if e.reader != nil {
		p.loose = e.reader
	}
	p.fingerprint = rule2 + p.definition() + "."
	return p
}

// rehearse tries what a new job does to the schema, and leaves nothing of it.
func (e *Engine) rehearse(ctx context.Context, program *program) error {
	if program.rehearse == nil {
		return nil
	}
	rehearsed := errors.New("rehearsed")
	var look func(context.Context, *Engine) error
	err := e.write(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		if look, err = program.rehearse(ctx, c); err != nil {
			return err
		}
		return rehearsed
	})
	if errors.Is(err, rehearsed) {
		return look(ctx, e)
	}
	return err
}

// prepareUnlessDone is prepare for a job that need not run: one that is done is no
// error, though its table or a column has since been dropped or renamed.
func (e *Engine) prepareUnlessDone(ctx context.Context, job jobs.Job) (plan, error) {
	p, err := e.prepare(ctx, job)
	switch {
	case errors.Is(err, ErrCancelled):
		return p, e.tellCancelled(ctx, p, err)
	case err == nil || is(err, jobs.ErrSpec, ErrJobChanged, ErrUndone) || ctx.Err() != nil:
		return p, err
	}
	status, statusErr := e.store.AsyncMigrationStatus(p.spec.Name)
	if statusErr != nil || status != asyncmig.StatusDone {
		return p, err
	}
	begun, loadErr := checkpoint.Load(ctx, e.readQuerier(), p.spec.Name)
	if loadErr == nil && !p.sameDefinition(begun) {
		return p, p.changed(begun)
	}
	p.unfit = err
	return p, nil
}

// tellCancelled returns why a job is refused, and has the ledger say that it failed: a run
// that died after it had recorded the cancel left it at pending_async, which somebody may
// wait for.
func (e *Engine) tellCancelled(ctx context.Context, p plan, err error) error {
	status, statusErr := e.store.AsyncMigrationStatus(p.spec.Name)
	if statusErr != nil || status != asyncmig.StatusPendingAsync {
		return err
	}

	failErr := e.store.Fail(ctx, p.spec.Name, err.Error())
	if failErr != nil && !errors.Is(failErr, asyncmig.ErrOwned) { // else its owner is about to say so
		e.log.Warn("chunkfill: the ledger still says pending_async of a job that is cancelled", "migration", p.spec.Name, "error", failErr)
	}
	return err
}

func is(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}

// freeze takes a copy of all that the host could change, and the values behind
// pointers and driver.Valuers.
func freeze(spec jobs.Spec) (plan, error) {
	given := slices.Clone(spec.Args)
	spec.Set, spec.Read, spec.Write = slices.Clone(spec.Set), slices.Clone(spec.Read), slices.Clone(spec.Write)
	spec.Args = slices.Clone(spec.Args)
	if err := spec.Validate(); err != nil {
		return plan{rewrite: rewrite{spec: spec}}, err
	}
	for i, a := range spec.Args {
		named, isNamed := a.(sql.NamedArg)
		if isNamed {
			a = named.Value
		}
		value, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return plan{rewrite: rewrite{spec: spec}}, fmt.Errorf("%w %s: Args[%d]: %w", jobs.ErrSpec, spec.Name, i, err)
		}
		if b, ok := value.([]byte); ok {
			value = bytes.Clone(b)
		}
		spec.Args[i] = value
		if isNamed {
			spec.Args[i] = sql.Named(named.Name, value)
		}
	}
	return plan{rewrite: rewrite{spec: spec, given: given}}, nil
}

// check compiles every part of the job, alone and together.
func (r rewrite) check(ctx context.Context, q lite.Querier) error {
	if err := errors.Join(r.checkColumns(), r.checkAll()); err != nil {
		return err
	}
	fragments := r.fragments()
	for _, what := range lite.SortedKeys(fragments) {
		if err := lite.CheckFragment(ctx, q, r.spec.Table, what, fragments[what]); err != nil {
			return err
		}
	}
	if r.spec.Todo != "" {
		if err := r.count().Compile(ctx, q, r.table.Key); err != nil {
			return fmt.Errorf("todo: %w", err)
		}
	}
	calls := r.open()
	defer closeCalls(calls)
	statement := r.statement(calls, []string{r.spec.Where}, true)
	if err := statement.Compile(ctx, q, r.table.Key); err != nil {
		return err
	}
	if err := statement.CheckArgs(ctx, q); err != nil {
		return err
	}
	if err := r.checkImages(ctx, q); err != nil {
		return err
	}
	return r.checkEffects(ctx, q, statement)
}

// checkEffects refuses a job whose rows would move under the walk, or whose expressions
// read what it writes.
func (r rewrite) checkEffects(ctx context.Context, q lite.Querier, s lite.Statement) error {
	if err := r.table.CheckMoves(ctx, q, r.loose, s); err != nil {
		return err
	}
	if r.step != nil && r.step.insert != nil {
		return nil // it asks where it copies to what is there already
	}
	return r.table.CheckReads(ctx, q, s, r.fragments())
}

// fragments are the pieces of SQL that the job is made of, and what each is.
func (r rewrite) fragments() map[string]string {
	fragments := map[string]string{}
	if r.spec.Where != "" {
		fragments["where"] = r.spec.Where
	}
	if r.spec.Todo != "" {
		fragments["todo"] = r.spec.Todo
	}
	for _, a := range r.spec.Set {
		fragments["the new value of "+a.Column] = a.Expr
	}
	if r.step != nil && r.step.insert != nil {
		for i, column := range r.step.insert.Columns {
			fragments["the value to copy into "+column] = r.step.insert.Exprs[i]
		}
	}
	return fragments
}

func (r rewrite) checkColumns() error {
	for _, name := range r.spec.Writes() {
		column, err := r.table.Column(name)
		switch {
		case err != nil:
			return err
		case r.table.Key.Has(name):
			return fmt.Errorf("%w: %s is part of the key that the table is walked by; a job cannot change it", jobs.ErrSpec, name)
		case column.Generated:
			return fmt.Errorf("%w: %s is a generated column", jobs.ErrSpec, name)
		}
	}
	for _, name := range r.spec.Read {
		if _, err := r.table.Column(name); err != nil {
			return err
		}
	}
	return nil
}

// open makes a transform's function callable; nil for other jobs.
func (r rewrite) open() *rowfunc.Calls {
	if r.spec.Row == nil {
		return nil
	}
	return rowfunc.Open(r.spec.Row, len(r.spec.Write), r.rowTimeout)
}

func closeCalls(c *rowfunc.Calls) {
	if c != nil {
		c.Close()
	}
}

// statement is what a batch runs, over the rows that meet all conditions. skips says
// whether a transform's function may leave some of them as they are; to ask it of
// each row costs.
func (r rewrite) statement(calls *rowfunc.Calls, where []string, skips bool) lite.Statement {
	key := r.table.Key
	switch {
	case r.step != nil && r.step.insert != nil:
		return key.InsertStatement(*r.step.insert, where, r.spec.Args)
	case r.step != nil && r.step.back != nil:
		return key.SelectStatement("1", where, nil) // what it does is no one statement
	}
	switch r.spec.Kind {
	case jobs.KindDelete:
		return key.DeleteStatement(where, r.spec.Args)
	case jobs.KindTransform:
		read := readsOf(r.spec)
		set := make([]lite.Assign, len(r.spec.Write))
		for i, column := range r.spec.Write {
			set[i] = lite.Assign{Column: column, Expr: calls.Value(i, read)}
		}
		if skips {
			where = append(slices.Clone(where), calls.Changes(read))
		}
		return key.UpdateStatement(set, where, r.spec.Args)
	default:
		set := make([]lite.Assign, len(r.spec.Set))
		for i, a := range r.spec.Set {
			set[i] = lite.Assign(a)
		}
		return key.UpdateStatement(set, where, r.spec.Args)
	}
}

// readsOf is what a transform's function is given of a row, as SQL.
func readsOf(spec jobs.Spec) string {
	columns := make([]string, len(spec.Read))
	for i, name := range spec.Read {
		columns[i] = lite.Ident(name)
	}
	return rowfunc.Arguments(columns)
}

// count counts what is left to do.
func (r rewrite) count() lite.Statement {
	return r.table.Key.SelectStatement("count(*)", []string{r.spec.Todo}, nil)
}

// compatible refuses a job that this database knows under another definition, or
// as cancelled.
func (p plan) compatible(begun checkpoint.Checkpoint) error {
	if begun.Fingerprint != p.fingerprint && !(begun.Phase == checkpoint.Done && p.sameDefinition(begun)) {
		return p.changed(begun)
	}
	if begun.Phase == checkpoint.Undone {
		return undone(begun)
	}
	if begun.Phase == checkpoint.Cancelled {
		return fmt.Errorf("%w: %s, by %s: %s", ErrCancelled, p.spec.Name, begun.Request.By, begun.Request.Reason)
	}
	return nil
}

func (p plan) changed(begun checkpoint.Checkpoint) error {
	return fmt.Errorf("%w: %s was begun as %q and is now %q (a changed column declaration or Version counts too); "+
		"its state is kept: give the new job another name, bring the old definition back, or forget the old job to begin from zero",
		ErrJobChanged, p.spec.Name, begun.Definition, p.described())
}

// describeImages says what is to be kept of the rows of a job, and refuses one whose rows
// could not be put back from it.
func (r rewrite) describeImages(ctx context.Context, q lite.Querier) (images.Set, error) {
	deletes := r.spec.Kind == jobs.KindDelete
	triggers, err := images.Triggers(ctx, q, r.table.Name)
	if err != nil {
		return images.Set{}, err
	}
	set, err := images.Describe(r.table, deletes, r.spec.Writes(), len(triggers) > 0)
	if err != nil {
		return set, err
	}
	return set, images.CheckEffects(ctx, q, set)
}

// checkImages is the part of a check that is about images.
func (r rewrite) checkImages(ctx context.Context, q lite.Querier) error {
	if !r.spec.KeepBefore {
		return nil
	}
	set, err := r.describeImages(ctx, q)
	if err == nil && r.images != nil && set.Shape != r.images.Shape {
		_, err = r.images.Source(r.table)
	}
	return err
}

// findImages has a plan keep images where the job does.
func (e *Engine) findImages(ctx context.Context, p *plan) error {
	if !p.spec.KeepBefore {
		return nil
	}
	kept, found, err := record.FindImages(ctx, e.readQuerier(), p.spec.Name)
	if err != nil || !found {
		return err
	}
	set, err := images.Decode(kept.Table, kept.About)
	p.images = &set
	return err
}
