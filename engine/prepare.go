package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// plan is a job that has been held against the database: everything about it that
// does not change while it runs.
type plan struct {
	spec        jobs.Spec
	table       lite.Table
	fingerprint string
	rowLimit    time.Duration
}

// prepare validates a job without writing anything. Only a new job whose key
// could hold NULLs makes it look through an index.
func (e *Engine) prepare(ctx context.Context, job jobs.Job) (plan, error) {
	spec := job.Spec()
	if err := spec.Validate(); err != nil {
		return plan{}, err
	}
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return plan{}, fmt.Errorf("wait for the connection: %w", err)
	}
	defer conn.Close()
	p := plan{spec: spec, rowLimit: e.cfg.RowLimit}
	if p.table, err = lite.LoadTable(ctx, conn, spec.Table); err != nil {
		return plan{}, fmt.Errorf("job %s: %w", spec.Name, err)
	}
	if err := p.check(ctx, conn); err != nil {
		return plan{}, fmt.Errorf("job %s: %w", spec.Name, err)
	}
	p.fingerprint = p.identity()
	begun, err := checkpoint.Load(ctx, conn, spec.Name)
	conn.Close() // the rest reads elsewhere, and there may be but one
	switch {
	case err == nil:
		return p, p.compatible(begun)
	case !errors.Is(err, checkpoint.ErrUnknown):
		return plan{}, err
	}
	return p, p.table.CheckNulls(ctx, e.readQuerier())
}

// check compiles every part of the job, alone and together.
func (p plan) check(ctx context.Context, q lite.Querier) error {
	if err := p.checkColumns(); err != nil {
		return err
	}
	fragments := []struct{ what, sql string }{{"where", p.spec.Where}, {"todo", p.spec.Todo}}
	for _, a := range p.spec.Set {
		fragments = append(fragments, struct{ what, sql string }{"the new value of " + a.Column, a.Expr})
	}
	for i, f := range fragments {
		if f.sql == "" && i < 2 {
			continue // no condition
		}
		if err := lite.CheckFragment(ctx, q, p.spec.Table, f.what, f.sql); err != nil {
			return err
		}
	}
	calls := p.open()
	defer closeCalls(calls)
	if p.spec.Todo != "" {
		if err := p.count().Compile(ctx, q, p.table.Key); err != nil {
			return fmt.Errorf("todo: %w", err)
		}
	}
	return p.statement(calls, p.spec.Where, true).Compile(ctx, q, p.table.Key)
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
	return rowfunc.Open(p.spec.Row, len(p.spec.Write), p.rowLimit)
}

func closeCalls(c *rowfunc.Calls) {
	if c != nil {
		c.Close()
	}
}

// statement is what a batch runs, over the rows for which where holds. skips says
// whether a transform's function may leave some of them as they are; to ask it of
// each row costs.
func (p plan) statement(calls *rowfunc.Calls, where string, skips bool) lite.Statement {
	key := p.table.Key
	switch p.spec.Kind {
	case jobs.KindDelete:
		return key.DeleteStatement(where, p.spec.Args)
	case jobs.KindTransform:
		read := lite.Idents(p.spec.Read)
		set := make([]lite.Assign, len(p.spec.Write))
		for i, column := range p.spec.Write {
			set[i] = lite.Assign{Column: column, Expr: calls.Value(i, read)}
		}
		if skips {
			where = and(where, calls.Changes(read))
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

// count counts what is left to do.
func (p plan) count() lite.Statement {
	return p.table.Key.SelectStatement("count(*)", p.spec.Todo, nil)
}

// and joins conditions, each in parentheses that a comment cannot swallow.
func and(conditions ...string) string {
	var terms []string
	for _, c := range conditions {
		if c != "" && c != "1" {
			terms = append(terms, "("+c+"\n)")
		}
	}
	return strings.Join(terms, " AND ")
}

// identity is a digest of all that makes the job what it is: its definition, the
// key, and the declarations of the columns it names. An unrelated ALTER TABLE does
// not change it.
func (p plan) identity() string {
	named := map[string]string{}
	text := strings.ToLower(fmt.Sprint(p.spec.Set, p.spec.Read, p.spec.Write, p.spec.Where, p.spec.Todo))
	for _, c := range p.table.Columns {
		// A column that is only mentioned in a string is watched too: harmless.
		if strings.Contains(text, strings.ToLower(c.Name)) {
			named[c.Name] = c.Decl
		}
	}
	args := make([]string, len(p.spec.Args))
	for i, a := range p.spec.Args {
		args[i] = fmt.Sprint(a)
	}
	s := p.spec
	text1, _ := json.Marshal([]any{s.Kind, s.Table, p.table.Key.Columns, named, s.Set, s.Read, s.Write, s.Where, args, s.Todo, s.Version})
	sum := sha256.Sum256(text1)
	return hex.EncodeToString(sum[:])
}

// compatible refuses a job that this database knows under another definition, or
// as cancelled.
func (p plan) compatible(begun checkpoint.Checkpoint) error {
	if begun.Fingerprint != p.fingerprint {
		return fmt.Errorf("%w: %s was begun as %q and is now %q (a changed column declaration or Version counts too); "+
			"its state is kept: give the new job another name, bring the old definition back, or forget the old job to begin from zero",
			ErrJobChanged, p.spec.Name, begun.Definition, p.spec)
	}
	if begun.Phase == checkpoint.Cancelled {
		return fmt.Errorf("%w: %s, by %s: %s", ErrCancelled, p.spec.Name, begun.Request.By, begun.Request.Reason)
	}
	return nil
}
