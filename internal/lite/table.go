package lite

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Errors of reading a table's shape. Each is wrapped with the table's name and
// what to do about it.
var (
	ErrNoTable  = errors.New("no such table")
	ErrNoColumn = errors.New("no such column")
	ErrNoKey    = errors.New("no usable key")
	ErrNullKey  = errors.New("NULL in the key")
)

// Column is one column of a table, hidden and generated ones included.
type Column struct {
	Name      string
	Decl      string // declared type, as written
	NotNull   bool
	Generated bool
	pk        int // position in the PRIMARY KEY, from 1; 0 if it is not in it
}

// Table is the shape of one table in the main database.
type Table struct {
	Name         string
	WithoutRowid bool
	Columns      []Column
	Key          Key
}

// Column returns the column of that name; SQLite compares names without case.
func (t Table) Column(name string) (Column, error) {
	for _, c := range t.Columns {
		if strings.EqualFold(c.Name, name) {
			return c, nil
		}
	}
	return Column{}, fmt.Errorf("%w: %s.%s (it has %s)", ErrNoColumn, t.Name, name, t.columnNames())
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
	if t.Key, err = chooseKey(ctx, q, t); err != nil {
		return Table{}, err
	}
	t.Key.legs, err = t.Key.needsLegs(ctx, q)
	return t, err
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
		`SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)`, table)
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

// index is a candidate for the key: a unique index over plain columns.
type index struct {
	name    string
	primary bool
	columns []KeyColumn
}

// chooseKey prefers the PRIMARY KEY, then a UNIQUE index over NOT NULL columns.
// The hidden rowid of a table without INTEGER PRIMARY KEY is never walked:
// VACUUM may renumber it between two batches.
func chooseKey(ctx context.Context, q Querier, t Table) (Key, error) {
	indexes, err := uniqueIndexes(ctx, q, t.Name)
	if err != nil {
		return Key{}, err
	}
	for _, ix := range indexes {
		if ix.primary {
			return Key{Table: t.Name, Index: ix.name, Columns: ix.columns}, nil
		}
	}
	// A primary key without an index of its own is the rowid under a name.
	// ("INTEGER PRIMARY KEY DESC" is not: it has an index and is found above.)
	for _, c := range t.Columns {
		if c.pk > 0 && !t.WithoutRowid {
			return Key{Table: t.Name, Rowid: true, Columns: []KeyColumn{{Name: c.Name}}}, nil
		}
	}
	for _, ix := range indexes {
		if t.allNotNull(ix.columns) {
			return Key{Table: t.Name, Index: ix.name, Columns: ix.columns}, nil
		}
	}
	return Key{}, fmt.Errorf("%w: table %s has neither a PRIMARY KEY nor a UNIQUE index over NOT NULL columns; "+
		"without one its rows cannot be walked safely (VACUUM renumbers hidden rowids): "+
		"add a UNIQUE index over columns declared NOT NULL", ErrNoKey, t.Name)
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
		SELECT l.name, l.origin = 'pk', coalesce(x.name, ''), x."desc", x.coll
		FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x
		WHERE l."unique" AND NOT l.partial AND x.key
		ORDER BY l.seq, x.seqno`, table)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", table, err)
	}
	defer rows.Close()
	var all []index
	for rows.Next() {
		var ix index
		var c KeyColumn
		if err := rows.Scan(&ix.name, &ix.primary, &c.Name, &c.Desc, &c.Collation); err != nil {
			return nil, fmt.Errorf("read indexes of %s: %w", table, err)
		}
		if n := len(all); n == 0 || all[n-1].name != ix.name {
			all = append(all, ix)
		}
		last := &all[len(all)-1]
		last.columns = append(last.columns, c)
	}
	return withoutExpressions(all), rows.Err()
}

// withoutExpressions drops indexes over expressions, whose columns have no name.
func withoutExpressions(all []index) []index {
	var plain []index
next:
	for _, ix := range all {
		for _, c := range ix.columns {
			if c.Name == "" {
				continue next
			}
		}
		plain = append(plain, ix)
	}
	return plain
}

// CheckNulls refuses a table that has NULLs in its key: a rowid table allows
// them (SQLite keeps an old bug there), and no comparison ever reaches them.
func (t Table) CheckNulls(ctx context.Context, q Querier) error {
	if t.Key.Rowid || t.WithoutRowid {
		return nil
	}
	for _, k := range t.Key.Columns {
		c, err := t.Column(k.Name)
		if err != nil || c.NotNull {
			continue
		}
		var found bool
		err = q.QueryRowContext(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM %s WHERE %s IS NULL)`,
			t.Key.from(), Ident(k.Name))).Scan(&found)
		if err != nil {
			return fmt.Errorf("look for NULLs in %s.%s: %w", t.Name, k.Name, err)
		}
		if found {
			return fmt.Errorf("%w: %s.%s has rows with NULL, which no walk can reach; "+
				"give them a value or delete them (… WHERE %s IS NULL), then start again",
				ErrNullKey, t.Name, k.Name, Ident(k.Name))
		}
	}
	return nil
}
