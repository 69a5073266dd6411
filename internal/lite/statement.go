package lite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of a statement that cannot be used.
var (
	// ErrFragment: an expression or condition does not compile, or is not one.
	ErrFragment = errors.New("not a usable SQL expression")
	// ErrScan: SQLite would not walk the key for it.
	ErrScan = errors.New("the key cannot be walked")
)

// CheckFragment accepts an expression or condition over a table's columns only
// if SQLite compiles it both in parentheses with a newline after it and bare:
// "n; DROP TABLE t" fails the first, "1) OR (1" the second. Nothing is run.
func CheckFragment(ctx context.Context, q Querier, table, what, fragment string) error {
	if strings.TrimSpace(fragment) == "" {
		return fmt.Errorf("%w: %s is empty", ErrFragment, what)
	}
	for _, form := range []string{"SELECT (%s\n) FROM %s", "SELECT %s FROM %s"} {
		statement, err := q.PrepareContext(ctx, fmt.Sprintf(form, fragment, Ident(table)))
		if err != nil {
			return fmt.Errorf("%w: %s %q on table %s: %w", ErrFragment, what, fragment, table, err)
		}
		statement.Close()
	}
	return nil
}

// Assign is one column and the expression it is set to.
type Assign struct {
	Column, Expr string
}

// Statement rewrites the rows of a range.
type Statement struct {
	head string // up to the condition
	cond string // the job's own condition, "" for all rows
	Args []any  // of head, then of cond
}

// UpdateStatement builds UPDATE … SET … over the key's ranges.
func (k Key) UpdateStatement(set []Assign, cond string, args []any) Statement {
	terms := make([]string, len(set))
	for i, a := range set {
		terms[i] = Ident(a.Column) + " = (" + a.Expr + "\n)"
	}
	return Statement{head: "UPDATE " + k.from() + " SET " + strings.Join(terms, ", "), cond: cond, Args: args}
}

// DeleteStatement builds DELETE over the key's ranges.
func (k Key) DeleteStatement(cond string, args []any) Statement {
	return Statement{head: "DELETE FROM " + k.from(), cond: cond, Args: args}
}

// SelectStatement builds SELECT over the key's ranges.
func (k Key) SelectStatement(columns, cond string, args []any) Statement {
	return Statement{head: "SELECT " + columns + " FROM " + k.from(), cond: cond, Args: args}
}

// SQL is the statement for one range, and its arguments. The newline ends a
// comment in the condition. The range comes first: SQLite tests what the index does
// not in the order written, and a condition that fails on a row beyond the range
// would be taken for a failure of the rows in it. A range with arguments, of rowids,
// is all in the search.
func (s Statement) SQL(r Range) (string, []any) {
	switch {
	case s.cond == "":
		return s.head + " WHERE " + r.where.sql, slices.Concat(s.Args, r.where.args)
	case len(r.where.args) > 0:
		return s.head + " WHERE (" + s.cond + "\n) AND " + r.where.sql, slices.Concat(s.Args, r.where.args)
	}
	return s.head + " WHERE " + r.where.sql + " AND (" + s.cond + "\n)", s.Args
}

// Run executes the statement for one range and returns how many rows it matched.
// (SQLite counts rows it rewrote with the same values, too.)
func (s Statement) Run(ctx context.Context, q Querier, r Range) (int, error) {
	text, args := s.SQL(r)
	result, err := q.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Int runs a statement that selects one number.
func (s Statement) Int(ctx context.Context, q Querier, r Range) (n int64, err error) {
	text, args := s.SQL(r)
	err = q.QueryRowContext(ctx, text, args...).Scan(&n)
	return n, err
}

// Compile asks SQLite for its plan of the statement over some range, and refuses
// a plan that is not one search of the key: each batch would then cost as much as
// the whole table.
func (s Statement) Compile(ctx context.Context, q Querier, k Key) error {
	sample := k.Sample()
	for _, leg := range k.after(sample.End) {
		text, args := s.SQL(Range{where: leg.and(k.upto(sample.End))})
		plan, err := Plan(ctx, q, text, args)
		if err != nil {
			return err
		}
		if k.walks(plan[0]) {
			continue
		}
		if small, err := k.small(ctx, q); err != nil || small {
			return err
		}
		return fmt.Errorf("%w: SQLite plans %q for the key %s of %s; if its statistics are from a time when the table was small, "+
			"ANALYZE %[4]s helps", ErrScan, plan[0], Idents(k.Names()), k.Table)
	}
	return nil
}

// walks tells whether a plan reads the rows of a range alone. Where sqlite_stat1
// says that a table has a handful of rows, SQLite scans it, or searches for the
// beginning of the range and reads on to the end of the table.
func (k Key) walks(plan string) bool {
	return strings.HasPrefix(plan, "SEARCH") && (!k.Rowid || strings.Contains(plan, "(rowid>? AND rowid<?)"))
}

// small tells whether it does not matter what a batch reads.
func (k Key) small(ctx context.Context, q Querier) (small bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT count(*) < 1000 FROM (SELECT 1 FROM "+k.from()+" LIMIT 1000)").Scan(&small)
	return small, err
}

// Plan is EXPLAIN QUERY PLAN: a line a step.
func Plan(ctx context.Context, q Querier, statement string, args []any) ([]string, error) {
	rows, err := q.QueryContext(ctx, "EXPLAIN QUERY PLAN "+statement, args...)
	if err != nil && strings.Contains(err.Error(), "missing argument") {
		return nil, fmt.Errorf("%w: a ? has no value: write the value itself, or, in Go, pass it in Args", ErrFragment)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFragment, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%w: SQLite gives no plan for %q", ErrFragment, statement)
	}
	return steps, nil
}
