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
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// plan is a job that has been held against the database: everything about it that
// does not change while it runs.
type plan struct {
	spec        jobs.Spec
	given       []any // Args as the host gave them
	table       lite.Table
	fingerprint string
	rowTimeout  time.Duration
	unfit       error // why a job that is done could not be run again

	program *program // of a job that changes the schema; or nil
	step    *step    // of it, whose rows the plan is for
	pin     string   // what the table of that step must look like

	loose lite.Querier // a connection that does not enforce foreign keys; nil if there is none
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
	p := plan{spec: jobs.Spec{Name: spec.Name, Table: spec.Table, Kind: spec.Kind, Version: spec.Version}, program: program}
	p.rowTimeout = e.cfg.RowTimeout
	if e.reader != nil {
		p.loose = e.reader
	}
	p.fingerprint = rule2 + p.definition() + "."

	begun, err := record.Load(ctx, e.readQuerier(), spec.Name)
	switch {
	case errors.Is(err, ErrUnknownJob):
		return p, nil
	case err != nil:
		return p, err
	}
	return p, p.compatible(begun)
}

// prepareUnlessDone is prepare for a job that need not run: one that is done is no
// error, though its table or a column has since been dropped or renamed.
func (e *Engine) prepareUnlessDone(ctx context.Context, job jobs.Job) (plan, error) {
	p, err := e.prepare(ctx, job)
	switch {
	case errors.Is(err, ErrCancelled):
		return p, e.tellCancelled(ctx, p, err)
	case err == nil || is(err, jobs.ErrSpec, ErrJobChanged) || ctx.Err() != nil:
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
		return plan{spec: spec}, err
	}
	for i, a := range spec.Args {
		named, isNamed := a.(sql.NamedArg)
		if isNamed {
			a = named.Value
		}
		value, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return plan{spec: spec}, fmt.Errorf("%w %s: Args[%d]: %w", jobs.ErrSpec, spec.Name, i, err)
		}
		if b, ok := value.([]byte); ok {
			value = bytes.Clone(b)
		}
		spec.Args[i] = value
		if isNamed {
			spec.Args[i] = sql.Named(named.Name, value)
		}
	}
	return plan{spec: spec, given: given}, nil
}

// check compiles every part of the job, alone and together.
func (p plan) check(ctx context.Context, q lite.Querier) error {
	if err := errors.Join(p.checkColumns(), p.checkAll()); err != nil {
		return err
	}
	fragments := p.fragments()
	for _, what := range lite.SortedKeys(fragments) {
		if err := lite.CheckFragment(ctx, q, p.spec.Table, what, fragments[what]); err != nil {
			return err
		}
	}
	if p.spec.Todo != "" {
		if err := p.count().Compile(ctx, q, p.table.Key); err != nil {
			return fmt.Errorf("todo: %w", err)
		}
	}
	calls := p.open()
	defer closeCalls(calls)
	statement := p.statement(calls, []string{p.spec.Where}, true)
	if err := statement.Compile(ctx, q, p.table.Key); err != nil {
		return err
	}
	if err := statement.CheckArgs(ctx, q); err != nil {
		return err
	}
	return p.checkEffects(ctx, q, statement)
}

// checkEffects refuses a job whose rows would move under the walk, or whose expressions
// read what it writes.
func (p plan) checkEffects(ctx context.Context, q lite.Querier, s lite.Statement) error {
	if err := p.table.CheckMoves(ctx, q, p.loose, s); err != nil {
		return err
	}
	if p.step != nil && p.step.insert != nil {
		return nil // it asks where it copies to what is there already
	}
	return p.table.CheckReads(ctx, q, s, p.fragments())
}

// fragments are the pieces of SQL that the job is made of, and what each is.
func (p plan) fragments() map[string]string {
	fragments := map[string]string{}
	if p.spec.Where != "" {
		fragments["where"] = p.spec.Where
	}
	if p.spec.Todo != "" {
		fragments["todo"] = p.spec.Todo
	}
	for _, a := range p.spec.Set {
		fragments["the new value of "+a.Column] = a.Expr
	}
	if p.step != nil && p.step.insert != nil {
		for i, column := range p.step.insert.Columns {
			fragments["the value to copy into "+column] = p.step.insert.Exprs[i]
		}
	}
	return fragments
}

func (p plan) checkColumns() error {
	for _, name := range p.spec.Writes() {
		column, err := p.table.Column(name)
		switch {
		case err != nil:
			return err
		case p.table.Key.Has(name):
			return fmt.Errorf("%w: %s is part of the key that the table is walked by; a job cannot change it", jobs.ErrSpec, name)
		case column.Generated:
			return fmt.Errorf("%w: %s is a generated column", jobs.ErrSpec, name)
		}
	}
	for _, name := range p.spec.Read {
		if _, err := p.table.Column(name); err != nil {
			return err
		}
	}
	return nil
}

// open makes a transform's function callable; nil for other jobs.
func (p plan) open() *rowfunc.Calls {
	if p.spec.Row == nil {
		return nil
	}
	return rowfunc.Open(p.spec.Row, len(p.spec.Write), p.rowTimeout)
}

func closeCalls(c *rowfunc.Calls) {
	if c != nil {
		c.Close()
	}
}

// statement is what a batch runs, over the rows that meet all conditions. skips says
// whether a transform's function may leave some of them as they are; to ask it of
// each row costs.
func (p plan) statement(calls *rowfunc.Calls, where []string, skips bool) lite.Statement {
	key := p.table.Key
	if p.step != nil && p.step.insert != nil {
		return key.InsertStatement(*p.step.insert, where, p.spec.Args)
	}
	switch p.spec.Kind {
	case jobs.KindDelete:
		return key.DeleteStatement(where, p.spec.Args)
	case jobs.KindTransform:
		read := readsOf(p.spec)
		set := make([]lite.Assign, len(p.spec.Write))
		for i, column := range p.spec.Write {
			set[i] = lite.Assign{Column: column, Expr: calls.Value(i, read)}
		}
		if skips {
			where = append(slices.Clone(where), calls.Changes(read))
		}
		return key.UpdateStatement(set, where, p.spec.Args)
	default:
		set := make([]lite.Assign, len(p.spec.Set))
		for i, a := range p.spec.Set {
			set[i] = lite.Assign(a)
		}
		return key.UpdateStatement(set, where, p.spec.Args)
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
func (p plan) count() lite.Statement {
	return p.table.Key.SelectStatement("count(*)", []string{p.spec.Todo}, nil)
}

// compatible refuses a job that this database knows under another definition, or
// as cancelled.
func (p plan) compatible(begun checkpoint.Checkpoint) error {
	if begun.Fingerprint != p.fingerprint && !(begun.Phase == checkpoint.Done && p.sameDefinition(begun)) {
		return p.changed(begun)
	}
	if begun.Phase == checkpoint.Cancelled {
		return fmt.Errorf("%w: %s, by %s: %s", ErrCancelled, p.spec.Name, begun.Request.By, begun.Request.Reason)
	}
	return nil
}

func (p plan) changed(begun checkpoint.Checkpoint) error {
	return fmt.Errorf("%w: %s was begun as %q and is now %q (a changed column declaration or Version counts too); "+
		"its state is kept: give the new job another name, bring the old definition back, or forget the old job to begin from zero",
		ErrJobChanged, p.spec.Name, begun.Definition, p.spec)
}
