package lite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Errors returned for a statement that cannot be used.
var (
	// ErrFragment is returned for text that does not compile, or is not a valid SQL
	// expression.
	ErrFragment = chunkfill.ErrFragment
	// ErrScan is returned if SQLite would not walk the key to execute the statement.
	ErrScan = errors.New("the key cannot be walked")
)

// CheckFragment accepts an expression or condition over a table's columns only if SQLite
// compiles it, followed by a newline, both in parentheses and bare: "n; DROP TABLE t" fails
// the first test, "1) OR (1" the second. Nothing is executed.
func CheckFragment(ctx context.Context, q Querier, table, what, fragment string) error {
	if strings.TrimSpace(fragment) == "" {
		return fmt.Errorf("%w: %s is empty", ErrFragment, what)
	}
	for _, form := range []string{"(%s\n) FROM %s", "%s\n FROM %s"} {
		if err := compileSelect(ctx, q, fmt.Sprintf(form, fragment, Main(table))); err != nil {
			return fmt.Errorf("%w: %s %q on table %s: %w", ErrFragment, what, fragment, table, err)
		}
	}
	return nil
}

// compileSelect has SQLite compile a SELECT of the given columns. Nothing of it is
// executed, nor of anything that follows it: drivers run all statements of a text, and
// older ones compile while they run. The first statement asks for an argument that is not
// supplied, which the driver notices after compiling and before running.
func compileSelect(ctx context.Context, q Querier, columns string) error {
	err := queryError(ctx, q, "SELECT ?, "+columns)
	if err == nil {
		return nil
	}
	if sqlite.Primary(err) < 0 && strings.Contains(err.Error(), "missing") && strings.Contains(err.Error(), "argument") {
		return nil
	}
	return err
}

// queryError returns the error of a query whose rows are not needed.
func queryError(ctx context.Context, q Querier, text string, args ...any) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Err()
}

// Assign is a column and the expression to which it is set.
type Assign struct {
	Column, Expr string
}

// Statement is an SQL statement that is executed range by range.
type Statement struct {
	head string // the text before the condition
	cond string // the job's own condition, made by ordered; "" for all rows
	tail string // the text after the condition
	Args []any  // arguments of head, then of cond
}

// UpdateStatement builds UPDATE … SET … over ranges of the key, for rows that meet all
// conditions. The conditions are tested in order; none is tested on a row that fails an
// earlier one.
func (k Key) UpdateStatement(set []Assign, conds []string, args []any) Statement {
	terms := make([]string, len(set))
	for i, a := range set {
		terms[i] = Ident(a.Column) + " = (" + a.Expr + "\n)"
	}
	return Statement{head: "UPDATE " + k.From() + " SET " + strings.Join(terms, ", "), cond: ordered(conds), Args: args}
}

// Insert is where a walk copies rows to.
type Insert struct {
	Into    string   // INSERT INTO …, up to the list of columns
	Columns []string // not quoted
	Exprs   []string // over the columns of the table that is walked, one for each
	Tail    string   // what follows the condition, such as ON CONFLICT …; or ""
}

// InsertStatement builds INSERT … SELECT over ranges of the key.
func (k Key) InsertStatement(in Insert, conds []string, args []any) Statement {
	columns, exprs := make([]string, len(in.Columns)), make([]string, len(in.Exprs))
	for i, column := range in.Columns {
		columns[i] = Ident(column)
	}
	for i, expr := range in.Exprs {
		exprs[i] = "(" + expr + "\n)"
	}
	return Statement{head: in.Into + " (" + strings.Join(columns, ", ") + ") SELECT " + strings.Join(exprs, ", ") + " FROM " + k.From(),
		cond: ordered(conds), tail: in.Tail, Args: args}
}

// JoinStatement builds a statement over ranges of the key, joined to another table: the planner
// sees the condition of the join, as it does the range.
func (k Key) JoinStatement(head, on string) Statement {
	return Statement{head: head, tail: " AND " + on}
}

// DeleteStatement builds DELETE over ranges of the key.
func (k Key) DeleteStatement(conds []string, args []any) Statement {
	return Statement{head: "DELETE FROM " + k.From(), cond: ordered(conds), Args: args}
}

// SelectStatement builds SELECT over ranges of the key.
func (k Key) SelectStatement(columns string, conds []string, args []any) Statement {
	return Statement{head: "SELECT " + columns + " FROM " + k.From(), cond: ordered(conds), Args: args}
}

// ordered combines conditions into one term, a CASE. There are two reasons: SQLite may test
// the sides of an AND in another order than the one written, and a function must not be
// called on a row that the job does not mean; and the planner does not look into a CASE, or
// a condition on the key ("id > 0") would take the place of the bound of a range, and each
// batch would read the whole table.
func ordered(conds []string) string {
	var b strings.Builder
	nested := 0
	for _, c := range conds {
		if c != "" {
			b.WriteString("CASE WHEN (" + c + "\n) THEN ")
			nested++
		}
	}
	if nested == 0 {
		return ""
	}
	return b.String() + "1" + strings.Repeat(" END", nested)
}

// SQL returns the statement for one range, and its arguments. The range comes first: SQLite
// tests what the index does not cover in the order written, and a condition that fails on a
// row beyond the range would be taken for a failure of the rows in it. A range with
// arguments, of rowids, is covered by the index search entirely; its arguments come last,
// so that none of the job's can take their places.
func (s Statement) SQL(r Range) (string, []any) {
	switch {
	case s.cond == "":
		return s.head + " WHERE " + r.where.sql + s.tail, slices.Concat(s.Args, r.where.args)
	case len(r.where.args) > 0:
		return s.head + " WHERE " + s.cond + " AND " + r.where.sql + s.tail, slices.Concat(s.Args, r.where.args)
	}
	return s.head + " WHERE " + r.where.sql + " AND " + s.cond + s.tail, s.Args
}

// Within returns a statement that this one, a SELECT, is part of: with a text before and
// one behind it.
func (s Statement) Within(before, behind string) Statement {
	s.head, s.tail = before+s.head, s.tail+behind
	return s
}

// CheckArgs refuses arguments that no parameter of a statement that compiles takes. SQLite
// silently ignores them; here one would be taken for a bound of the range.
func (s Statement) CheckArgs(ctx context.Context, q Querier) error {
	where := "? IS NULL" // the next parameter after the job's own
	if s.cond != "" {
		where = s.cond + " AND " + where
	}
	if err := queryError(ctx, q, "EXPLAIN "+s.head+" WHERE "+where, s.Args...); err != nil {
		return nil //nolint:nilerr // no argument is left over, as it should be
	}
	return fmt.Errorf("%w: there are %d Args, and the job has fewer ?", ErrFragment, len(s.Args))
}

// Run executes the statement for one range and returns how many rows it matched. (SQLite
// also counts rows that it rewrote with the same values.)
func (s Statement) Run(ctx context.Context, q Querier, r Range) (int, error) {
	text, args := s.SQL(r)
	result, err := q.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Int runs a statement that selects one number, and returns it.
func (s Statement) Int(ctx context.Context, q Querier, r Range) (n int64, err error) {
	text, args := s.SQL(r)
	err = q.QueryRowContext(ctx, text, args...).Scan(&n)
	return n, err
}

// Compile asks SQLite for its plan of the statement over a sample range. It refuses a plan
// that is not one search of the key, bounded on both sides by the range: each batch would
// then cost as much as the whole table.
func (s Statement) Compile(ctx context.Context, q Querier, k Key) error {
	for _, r := range k.order().samples() {
		text, args := s.SQL(r.Range)
		plan, err := Plan(ctx, q, text, args)
		if err != nil {
			return err
		}
		if strings.HasPrefix(plan[0], "SEARCH") && strings.HasSuffix(plan[0], r.search) {
			continue
		}
		if small, err := k.walker(q).small(ctx); err != nil || small {
			return err
		}
		return fmt.Errorf("%w: SQLite plans %q for the key %s of %s; if its statistics are from a time when the table was small, "+
			"ANALYZE %[4]s helps", ErrScan, plan[0], Idents(k.Names()), k.Table)
	}
	return nil
}

// sample is a range and the text by which SQLite's plan describes the search for it.
type sample struct {
	Range
	search string
}

// Sample returns an arbitrary range, to compile a statement with or to show it.
func (k Key) Sample() Range {
	return k.order().samples()[0].Range
}

// samples returns one range of each form that the walk uses.
func (o order) samples() []sample {
	zero := o.zero()
	var all []sample
	for _, pr := range o.after(zero) {
		within, search := pr.and(o.upto(zero)), ""
		switch {
		case o.rowid:
			search = "(rowid>? AND rowid<?)"
		case o.byPrefix:
			c := o.columns[pr.shared]
			within = pr.and(cond{sql: o.expr(c) + c.before() + "= 0"})
			for _, prefix := range o.columns[:pr.shared] {
				search += prefix.Name + "=? AND "
			}
			search = "(" + search + c.Name + ">? AND " + c.Name + "<?)"
		case len(o.columns) == 1:
			name := o.columns[0].Name
			search = "(" + name + ">? AND " + name + "<?)"
		default:
			names, marks := "("+strings.Join(o.names(), ",")+")", "("+strings.Repeat("?,", len(o.columns)-1)+"?)"
			search = "(" + names + ">" + marks + " AND " + names + "<" + marks + ")"
		}
		all = append(all, sample{Range{where: within, End: zero}, search})
	}
	return all
}

// Plan returns the EXPLAIN QUERY PLAN of a statement, one line per step.
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
