package reshape

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// ErrIndex is returned for an index whose entries are not those of its table.
var ErrIndex = errors.New("the index does not agree with its table")

// checkAtOnce is how many rows, or entries, are looked at in one read.
const checkAtOnce = 500

// IndexCheck looks whether an index has an entry for each row of its table, to the type and
// the byte, and no other: as integrity_check does, but for one index, and in short reads between which live writes
// go on. Each read sees the table and the index at one moment, so what is written meanwhile is no fault.
type IndexCheck struct {
	index, table string
	rows         string      // the table by its rows, not by an index
	where        string      // of a partial index, with AND before it
	entry        []indexTerm // as the index is ordered, to what finds the row
	row          []indexTerm // what finds a row, as the table is ordered
	entries      bool        // it has come to the entries
	after        []any       // the position; nil at the beginning
}

// indexTerm is one of the terms that an index, or a table, is ordered by.
type indexTerm struct {
	expr, collation string
	desc            bool
}

func (t indexTerm) collated() string {
	if t.collation == "" {
		return "(" + t.expr + ")"
	}
	return "(" + t.expr + ") COLLATE " + lite.Ident(t.collation)
}

// beyond is the condition for what comes after the value of the n-th argument.
func (t indexTerm) beyond(value any, n int) string {
	switch {
	case value == nil && t.desc:
		return "0"
	case value == nil:
		return "(" + t.expr + ") IS NOT NULL"
	case t.desc:
		return fmt.Sprintf("(%s < ?%d OR (%s) IS NULL)", t.collated(), n, t.expr)
	}
	return fmt.Sprintf("%s > ?%d", t.collated(), n)
}

// CheckIndex prepares the check of an index of the main database.
func CheckIndex(ctx context.Context, q lite.Querier, name string) (*IndexCheck, error) {
	c := &IndexCheck{}
	var text string
	err := q.QueryRowContext(ctx, "SELECT name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE", name).Scan(&c.index, &c.table, &text)
	if err != nil {
		return nil, fmt.Errorf("look up index %s: %w", name, err)
	}
	table, err := lite.LoadTable(ctx, q, c.table)
	if err != nil {
		return nil, err
	}
	rowid := table.RowidAlias()
	var terms []string
	if text != "" {
		ix, err := parseIndex(text)
		if err != nil {
			return nil, err
		}
		terms = ix.terms()
		if condition := ix.where(); condition != "" {
			c.where = " AND (" + condition + "\n)"
		}
	}
	if err := c.load(ctx, q, rowid, terms); err != nil {
		return nil, err
	}

	c.rows = "main." + lite.Ident(c.table) + " NOT INDEXED"
	if table.WithoutRowid { // NOT INDEXED would leave SQLite the choice of any index that has all columns
		c.rows = "main." + lite.Ident(c.table) + " INDEXED BY " + lite.Ident(table.Key.Index)
		for _, k := range table.Key.Columns {
			c.row = append(c.row, indexTerm{lite.Ident(k.Name), k.Collation, k.Desc})
		}
		return c, nil
	}
	if rowid == "" {
		return nil, fmt.Errorf("%w: nothing names the rowid of %s", ErrIndex, c.table)
	}
	c.row = []indexTerm{{expr: rowid}}
	return c, nil
}

// load reads what the index is ordered by.
func (c *IndexCheck) load(ctx context.Context, q lite.Querier, rowid string, terms []string) error {
	rows, err := q.QueryContext(ctx, `SELECT seqno, cid, coalesce(name, ''), "desc", coll FROM pragma_index_xinfo(?, 'main') ORDER BY seqno`, c.index)
	if err != nil {
		return fmt.Errorf("read index %s: %w", c.index, err)
	}
	defer rows.Close()
	for rows.Next() {
		var n, column int
		var t indexTerm
		if err := rows.Scan(&n, &column, &t.expr, &t.desc, &t.collation); err != nil {
			return fmt.Errorf("read index %s: %w", c.index, err)
		}
		switch {
		case column == -1:
			t = indexTerm{expr: rowid}
		case column >= 0:
			t.expr = lite.Ident(t.expr)
		case n < len(terms):
			t.expr = terms[n]
		}
		c.entry = append(c.entry, t)
	}
	return rows.Err()
}

// Next looks at the next rows, or entries, and reports whether those were the last. It returns ErrIndex at the first
// that is wrong.
func (c *IndexCheck) Next(ctx context.Context, q lite.Querier) (done bool, err error) {
	order, from := c.row, c.rows
	found := "EXISTS (SELECT 1 FROM main." + lite.Ident(c.table) + " INDEXED BY " + lite.Ident(c.index) + " WHERE " + c.sameAs() + c.where + ")"
	if c.entries {
		order, from = c.entry, "main."+lite.Ident(c.table)+" INDEXED BY "+lite.Ident(c.index)
		found = "EXISTS (SELECT 1 FROM " + c.rows + " WHERE " + c.sameAs() + c.where + ")"
	}
	last, err := c.read(ctx, q, order, from, found)
	if err != nil || last != nil {
		c.after = last
		return false, err
	}
	c.after = nil
	if c.entries {
		return true, nil
	}
	c.entries = true
	return false, nil
}

// sameAs is the condition that a row, or an entry, is the one that is looked at.
func (c *IndexCheck) sameAs() string {
	var all []string
	for i, t := range c.entry {
		value := fmt.Sprintf("_chunkfill_i.e%d", i)
		all = append(all, t.collated()+" IS "+value, fmt.Sprintf("(%s) COLLATE BINARY IS %s AND typeof(%s) = typeof(%s)", t.expr, value, t.expr, value))
	}
	return strings.Join(all, " AND ")
}

// read looks at what follows the position, and returns the next one; nil at the end. What
// follows has the same first terms, and a greater one after them: the longest such beginning first, each a
// stretch that the index finds.
func (c *IndexCheck) read(ctx context.Context, q lite.Querier, order []indexTerm, from, found string) (last []any, err error) {
	args := c.after
	for same := len(args); same >= 0 && last == nil; same-- {
		cond := "1"
		for i := range min(same, len(args)) {
			cond += fmt.Sprintf(" AND %s IS ?%d", order[i].collated(), i+1)
		}
		if same == len(order) {
			continue // the position itself
		}
		if args != nil {
			cond += " AND " + order[same].beyond(args[same], same+1)
		}
		if last, err = c.stretch(ctx, q, order, cond, args, from, found); err != nil {
			return nil, err
		}
	}
	return last, nil
}

// stretch looks at the first of those that meet a condition.
func (c *IndexCheck) stretch(ctx context.Context, q lite.Querier, order []indexTerm, cond string, args []any, from, found string) (last []any, err error) {
	var values, is, by []string
	for i, t := range c.entry {
		values, is = append(values, fmt.Sprintf("(%s) AS e%d", t.expr, i)), append(is, fmt.Sprintf("quote(e%d)", i))
	}
	for i, t := range order {
		direction := ""
		if t.desc {
			direction = " DESC"
		}
		values, by = append(values, fmt.Sprintf("(%s) AS o%d", t.expr, i)), append(by, t.collated()+direction)
	}
	columns := make([]string, len(order))
	for i := range columns {
		columns[i] = fmt.Sprintf("+o%d", i) // a driver may convert what is a column with a type
	}
	query := fmt.Sprintf("SELECT %s, %s, %s FROM (SELECT %s FROM %s WHERE %s%s ORDER BY %s LIMIT %d) AS _chunkfill_i",
		strings.Join(columns, ", "), found, strings.Join(is, " || ', ' || "), strings.Join(values, ", "), from, cond, c.where, strings.Join(by, ", "), checkAtOnce)
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("check index %s: %w", c.index, err)
	}
	defer rows.Close()
	for rows.Next() {
		position := make([]any, len(order), len(order)+2)
		into := make([]any, len(order), len(order)+2)
		for i := range position {
			into[i] = &position[i]
		}
		var right bool
		var entry string
		if err := rows.Scan(append(into, &right, &entry)...); err != nil {
			return nil, fmt.Errorf("check index %s: %w", c.index, err)
		}
		if !right && c.entries {
			return nil, fmt.Errorf("%w: %s has the entry (%s), and %s has no such row", ErrIndex, c.index, entry, c.table)
		}
		if !right {
			return nil, fmt.Errorf("%w: %s has no entry (%s) for a row of %s", ErrIndex, c.index, entry, c.table)
		}
		last = position
	}
	return last, rows.Err()
}
