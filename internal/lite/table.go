package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
)

// Errors returned when a table's shape is read. Each is wrapped with the table's name and
// what to do about it.
var (
	ErrNoTable  = chunkfill.ErrNoTable
	ErrNoColumn = chunkfill.ErrNoColumn
	ErrNoKey    = chunkfill.ErrNoKey
	ErrNullKey  = chunkfill.ErrNullKey
)

// Column is one column of a table; hidden and generated columns are included.
type Column struct {
	Name      string
	Decl      string // declared type, as written
	NotNull   bool
	Generated bool
	pk        int // position in the PRIMARY KEY, from 1; 0 if it is not part of it
}

// Table is the shape of one table in the main database.
type Table struct {
	Name         string
	WithoutRowid bool
	Columns      []Column
	Key          Key   // the key by which it is walked
	Keys         []Key // all keys by which it could be walked, the best first

	root  store            // the table's own b-tree
	roots map[string]store // the b-trees of its indexes, by name
}

// Column returns the column of that name.
func (t Table) Column(name string) (Column, error) {
	for _, c := range t.Columns {
		if SameName(c.Name, name) {
			return c, nil
		}
	}
	return Column{}, fmt.Errorf("%w: %s.%s (it has %s)", ErrNoColumn, t.Name, name, t.columnNames())
}

// PrimaryKey returns the names of its columns.
func (t Table) PrimaryKey() []string {
	names := make([]string, len(t.Columns))
	n := 0
	for _, c := range t.Columns {
		if c.pk > 0 {
			names[c.pk-1] = c.Name
			n++
		}
	}
	return names[:n]
}

func (t Table) columnNames() string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// LoadTable reads the shape of a table and picks the key to walk it by.
func LoadTable(ctx context.Context, q Querier, name string) (Table, error) {
	t, err := loadKind(ctx, q, name)
	if err != nil {
		return Table{}, err
	}
	if t.Columns, err = loadColumns(ctx, q, t.Name); err != nil {
		return Table{}, err
	}
	if err := t.loadRoots(ctx, q); err != nil {
		return Table{}, err
	}
	if t.Keys, err = findKeys(ctx, q, t); err != nil {
		return Table{}, err
	}
	t.Key = t.Keys[0]
	return t, nil
}

// WalkedBy returns the table with the key that has the same columns as k, whatever its
// index is called now, or false if there is none.
func (t Table) WalkedBy(k Key) (Table, bool) {
	i := slices.IndexFunc(t.Keys, func(o Key) bool {
		return o.Rowid == k.Rowid && o.byPrefix == k.byPrefix && slices.Equal(o.Columns, k.Columns)
	})
	if i < 0 {
		return t, false
	}
	t.Key = t.Keys[i]
	return t, true
}

func loadKind(ctx context.Context, q Querier, name string) (Table, error) {
	rows, err := q.QueryContext(ctx,
		`SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE`, name)
	if err != nil {
		return Table{}, fmt.Errorf("look up table %s: %w", name, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return Table{}, fmt.Errorf("look up table %s: %w", name, err)
		}
		return Table{}, fmt.Errorf("%w: %s (`.tables` in the sqlite3 shell lists those there are)", ErrNoTable, name)
	}
	var t Table
	var kind string
	if err := rows.Scan(&t.Name, &kind, &t.WithoutRowid); err != nil {
		return Table{}, fmt.Errorf("look up table %s: %w", name, err)
	}
	if kind != "table" {
		return Table{}, fmt.Errorf("%w: %s is a %s; name the table that holds its rows", ErrNoTable, t.Name, kind)
	}
	return t, rows.Err()
}

func loadColumns(ctx context.Context, q Querier, table string) ([]Column, error) {
	rows, err := q.QueryContext(ctx,
		`SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?, 'main')`, table)
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", table, err)
	}
	defer rows.Close()
	var columns []Column
	for rows.Next() {
		var c Column
		var hidden int
		if err := rows.Scan(&c.Name, &c.Decl, &c.NotNull, &c.pk, &hidden); err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", table, err)
		}
		c.Generated = hidden == 2 || hidden == 3 // 2 virtual, 3 stored
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// index is a candidate for the key: a unique index.
type index struct {
	name    string
	primary bool
	columns []KeyColumn

	expressions bool // some of its columns are expressions
}

// findKeys returns the keys by which a table can be walked: its PRIMARY KEY, then UNIQUE
// indexes over NOT NULL columns, the oldest first, so that an index added later changes
// nothing. The hidden rowid of a table without an INTEGER PRIMARY KEY is never used: VACUUM
// may renumber it between two batches.
func findKeys(ctx context.Context, q Querier, t Table) ([]Key, error) {
	indexes, err := uniqueIndexes(ctx, q, t.Name)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, ix := range indexes {
		if ix.primary {
			keys = append(keys, Key{Table: t.Name, Index: ix.name, Columns: ix.columns})
		}
	}
	// A primary key without an index of its own is another name for the rowid. ("INTEGER
	// PRIMARY KEY DESC" is not: it has an index and is found above.)
	for _, c := range t.Columns {
		if c.pk > 0 && !t.WithoutRowid && len(keys) == 0 {
			keys = append(keys, Key{Table: t.Name, Rowid: true, Columns: []KeyColumn{{Name: c.Name}}})
		}
	}
	for _, ix := range indexes {
		if !ix.primary && t.allNotNull(ix.columns) {
			keys = append(keys, Key{Table: t.Name, Index: ix.name, Columns: ix.columns})
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: table %s has neither a PRIMARY KEY nor a UNIQUE index over NOT NULL columns; "+
			"without one its rows cannot be walked safely (VACUUM renumbers hidden rowids): "+
			"add a UNIQUE index over columns declared NOT NULL", ErrNoKey, t.Name)
	}
	return withPrefixRanges(ctx, q, keys)
}

// withPrefixRanges finds out how each key is walked. A key by which SQLite cannot compare,
// because a collation is missing, is left out unless it is the best one.
func withPrefixRanges(ctx context.Context, q Querier, keys []Key) (usable []Key, err error) {
	for i, k := range keys {
		if k.byPrefix, err = k.walker(q).needsPrefixRanges(ctx); err == nil {
			usable = append(usable, k)
		} else if i == 0 {
			return nil, err
		}
	}
	return usable, nil
}

func (t Table) allNotNull(columns []KeyColumn) bool {
	for _, k := range columns {
		if c, err := t.Column(k.Name); err != nil || !c.NotNull {
			return false
		}
	}
	return true
}

func uniqueIndexes(ctx context.Context, q Querier, table string) ([]index, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT l.name, l.origin = 'pk', coalesce(x.name, ''), x."desc", x.coll, x.cid
		FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE l."unique" AND NOT l.partial AND x.key
		ORDER BY l.seq DESC, x.seqno`, table)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", table, err)
	}
	defer rows.Close()
	var all []index
	for rows.Next() {
		var ix index
		var c KeyColumn
		var cid int
		if err := rows.Scan(&ix.name, &ix.primary, &c.Name, &c.Desc, &c.Collation, &cid); err != nil {
			return nil, fmt.Errorf("read indexes of %s: %w", table, err)
		}
		if n := len(all); n == 0 || all[n-1].name != ix.name {
			all = append(all, ix)
		}
		last := &all[len(all)-1]
		last.columns = append(last.columns, c)
		last.expressions = last.expressions || cid < 0 // an expression, or the hidden rowid
	}
	return slices.DeleteFunc(all, func(ix index) bool { return ix.expressions }), rows.Err()
}

// CheckNulls refuses a table that has NULLs in its key. A rowid table allows them (SQLite
// keeps an old bug there), and no comparison ever reaches them.
func (t Table) CheckNulls(ctx context.Context, q Querier) error {
	for _, name := range t.nullable() {
		var found bool
		err := q.QueryRowContext(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM %s WHERE %s IS NULL)`,
			t.Key.From(), Ident(name))).Scan(&found)
		if err != nil {
			return fmt.Errorf("look for NULLs in %s.%s: %w", t.Name, name, err)
		}
		if found {
			return fmt.Errorf("%w: %s.%s has rows with NULL, which no walk can reach; "+
				"give them a value or delete them (… WHERE %s IS NULL), then start again",
				ErrNullKey, t.Name, name, Ident(name))
		}
	}
	return nil
}

// nullable returns the key's columns that may hold NULL.
func (t Table) nullable() (names []string) {
	if t.Key.Rowid || t.WithoutRowid {
		return nil
	}
	for _, k := range t.Key.Columns {
		if c, err := t.Column(k.Name); err == nil && !c.NotNull {
			names = append(names, k.Name)
		}
	}
	return names
}

// RowidAlias returns a name for the rowid of the table, or "" if it has none.
func (t Table) RowidAlias() string {
	if t.WithoutRowid {
		return ""
	}
	for _, alias := range []string{"rowid", "_rowid_", "oid"} {
		if _, err := t.Column(alias); err != nil {
			return alias
		}
	}
	return ""
}

// RowidOf returns the rowid of the row at a position, or false if there is none.
func (t Table) RowidOf(ctx context.Context, q Querier, p Pos) (rowid int64, found bool, err error) {
	err = q.QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s", t.RowidAlias(), t.Key.From(), t.Key.At(p))).Scan(&rowid)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("look for row (%s) of %s: %w", p, t.Name, err)
	}
	return rowid, true, nil
}
