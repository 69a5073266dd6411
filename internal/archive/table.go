package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// Columns are those of a table that are archived, quoted: all. A generated one is archived as the
// value that it has.
func Columns(t lite.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = lite.Ident(c.Name)
	}
	return names
}

// hasTable reports whether a schema has anything of a name.
func hasTable(ctx context.Context, q lite.Querier, schema, name string) (exists bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+schema+".sqlite_schema WHERE name = ? COLLATE NOCASE)", name).Scan(&exists)
	return exists, err
}

// create returns the CREATE TABLE of an archive of a table: its columns, its key and nothing
// else that could refuse a value or change it.
func create(ctx context.Context, q lite.Querier, t lite.Table, name string) (string, error) {
	var strict bool
	err := q.QueryRowContext(ctx, "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", t.Name).Scan(&strict)
	if err != nil {
		return "", fmt.Errorf("look up table %s: %w", t.Name, err)
	}

	var columns []string
	for _, c := range t.Columns {
		text := lite.Ident(c.Name)
		switch {
		case c.Decl != "" && strict:
			text += " " + c.Decl
		case c.Decl != "": // it may be any text
			text += " " + lite.Ident(c.Decl)
		}
		for _, k := range t.Key.Columns {
			if lite.SameName(k.Name, c.Name) && k.Collation != "" {
				text += " NOT NULL COLLATE " + lite.Ident(k.Collation)
			}
		}
		columns = append(columns, text)
	}
	key := "UNIQUE" // a PRIMARY KEY of one INTEGER column would be the rowid, and take nothing but integers
	if t.Key.Rowid || t.WithoutRowid {
		key = "PRIMARY KEY"
	}
	columns = append(columns, key+" ("+lite.Idents(t.Key.Names())+")")

	var options []string
	if t.WithoutRowid {
		options = append(options, "WITHOUT ROWID")
	}
	if strict {
		options = append(options, "STRICT")
	}
	return "CREATE TABLE " + name + " (" + strings.Join(columns, ", ") + ") " + strings.Join(options, ", "), nil
}

// shape is what must be the same of a table and its archive, a line for each column.
func shape(ctx context.Context, q lite.Querier, schema, table string, source bool) (lines []string, err error) {
	rows, err := q.QueryContext(ctx, "SELECT x.name, x.type, x.hidden, l.strict FROM pragma_table_xinfo(?1, ?2) x, pragma_table_list l "+
		"WHERE l.schema = ?2 AND l.name = ?1 COLLATE NOCASE", table, schema)
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, decl string
		var hidden int
		var strict bool
		if err := rows.Scan(&name, &decl, &hidden, &strict); err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", table, err)
		}
		line := strings.TrimSpace(lite.FoldName(name) + " " + strings.ToUpper(decl))
		if strict {
			line += " STRICT"
		}
		if hidden != 0 && !source {
			line += " GENERATED" // of the table it is archived as a value
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, rows.Err()
}

// held is a table that holds archived rows.
type held struct{ schema, table, where string }

// check refuses a table that could not hold the rows as they are.
func (h held) check(ctx context.Context, q lite.Querier, t lite.Table) error {
	want, err := shape(ctx, q, "main", t.Name, true)
	if err != nil {
		return err
	}
	have, err := shape(ctx, q, h.schema, h.table, false)
	if err != nil {
		return err
	}
	if !slices.Equal(want, have) {
		return h.wrong("does not have the columns of %s: it has %s, and should have %s", t.Name, strings.Join(have, ", "), strings.Join(want, ", "))
	}

	var triggers int
	err = q.QueryRowContext(ctx, "SELECT count(*) FROM "+lite.Ident(h.schema)+".sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE", h.table).Scan(&triggers)
	if err != nil {
		return fmt.Errorf("look for triggers of %s: %w", h.table, err)
	}
	if triggers > 0 {
		return h.wrong("has triggers, which would change what is archived")
	}
	keyed, err := h.keyed(ctx, q, t.Key)
	if err == nil && !keyed {
		err = h.wrong("has no unique key over %s, as %s has", lite.Idents(t.Key.Names()), t.Name)
	}
	return err
}

func (h held) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s %s; mend that, or name another table for a job that is new", chunkfill.ErrArchive, h.where, fmt.Sprintf(format, args...))
}

// keyed reports whether the table has a key.
func (h held) keyed(ctx context.Context, q lite.Querier, key lite.Key) (bool, error) {
	if key.Rowid {
		var pk string
		err := q.QueryRowContext(ctx, "SELECT coalesce(group_concat(name || ' ' || type), '') FROM pragma_table_xinfo(?, ?) WHERE pk > 0", h.table, h.schema).Scan(&pk)
		return strings.EqualFold(pk, key.Columns[0].Name+" INTEGER"), err
	}
	rows, err := q.QueryContext(ctx, `SELECT l.name, coalesce(x.name, ''), x.coll FROM pragma_index_list(?1, ?2) l, pragma_index_xinfo(l.name, ?2) x
		WHERE l."unique" AND NOT l.partial AND x.key ORDER BY l.seq, x.seqno`, h.table, h.schema)
	if err != nil {
		return false, fmt.Errorf("read indexes of %s: %w", h.table, err)
	}
	defer rows.Close()
	found := map[string][]string{}
	for rows.Next() {
		var index, column, collation string
		if err := rows.Scan(&index, &column, &collation); err != nil {
			return false, fmt.Errorf("read indexes of %s: %w", h.table, err)
		}
		found[index] = append(found[index], lite.FoldName(column)+" "+collation)
	}

	want := make([]string, len(key.Columns))
	for i, c := range key.Columns {
		want[i] = lite.FoldName(c.Name) + " " + c.Collation
	}
	for _, columns := range found {
		if slices.Equal(columns, want) {
			return true, rows.Err()
		}
	}
	return false, rows.Err()
}
