package reshape

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Rehearse makes the change of shape without the rows, in a transaction that the caller rolls
// back, and refuses one after which a trigger, a view or a foreign key would no longer work that
// works now. It takes a few milliseconds, however large the table is. It returns what is
// to be looked for in the rows.
func (w Wanted) Rehearse(ctx context.Context, q lite.Querier) ([]Conversion, error) {
	s, err := w.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := (rehearsal{&s}).rehearse(ctx, q); err != nil {
		return nil, err
	}
	return s.conversions, nil
}

// rehearsal is the change of shape without the rows.
type rehearsal struct{ *Shape }

func (s rehearsal) rehearse(ctx context.Context, q lite.Querier) error {
	probes, err := probes(ctx, q)
	if err != nil {
		return err
	}
	worked := map[string]bool{}
	for _, p := range probes {
		worked[p.what+p.sql] = p.compiles(ctx, q) == nil
	}
	keys, err := s.foreignKeys(ctx, q)
	if err != nil {
		return err
	}

	if _, err := s.Create(ctx, q); err != nil {
		return err
	}
	for _, p := range probes { // with our triggers
		if err := p.compiles(ctx, q); worked[p.what+p.sql] && err != nil {
			return fmt.Errorf("%w: %s would not work while rows are copied: %w", ErrShape, p.what, err)
		}
	}
	if !s.Twin {
		if _, err := Indexes(s).Create(ctx, q); err != nil {
			return err
		}
		if err := Indexes(s).Attach(ctx, q); err != nil {
			return fmt.Errorf("%w: %w", ErrShape, err)
		}
	}
	if err := swap(s).exchange(ctx, q); err != nil {
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	for _, p := range probes {
		if err := p.compiles(ctx, q); worked[p.what+p.sql] && err != nil && !s.goes(ctx, q, p) {
			return fmt.Errorf("%w: %s would no longer work: %w", ErrShape, p.what, err)
		}
	}
	return s.sameForeignKeys(ctx, q, keys)
}

// probe is a statement that SQLite compiles together with all that it fires.
type probe struct {
	what, sql     string
	table, column string // that it sets, of an UPDATE
}

func (p probe) compiles(ctx context.Context, q lite.Querier) error {
	rows, err := q.QueryContext(ctx, "EXPLAIN "+p.sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Err()
}

// probes read each view, and write each table that has a trigger or a foreign key, or is one's
// target. A write of the table itself compiles the triggers on it.
func probes(ctx context.Context, q lite.Querier) (all []probe, err error) {
	rows, err := q.QueryContext(ctx, `SELECT s.type, s.name FROM main.sqlite_schema s WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND s.name NOT LIKE '\_async\_migration%' ESCAPE '\' AND s.sql NOT LIKE 'CREATE VIRTUAL%'`)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return nil, fmt.Errorf("read the schema: %w", err)
		}
		if kind == "view" {
			all = append(all, probe{what: "view " + name, sql: "SELECT * FROM " + lite.Main(name)})
		}
		all = append(all, probe{what: "an INSERT into " + name, sql: "INSERT INTO " + lite.Main(name) + " DEFAULT VALUES"},
			probe{what: "a DELETE from " + name, sql: "DELETE FROM " + lite.Main(name)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	updates, err := updates(ctx, q)
	return append(all, updates...), err
}

// updates set each column of each table to itself: a trigger may be for one column alone.
func updates(ctx context.Context, q lite.Querier) (all []probe, err error) {
	rows, err := q.QueryContext(ctx, `SELECT s.name, x.name FROM main.sqlite_schema s, pragma_table_xinfo(s.name, 'main') x WHERE s.type IN ('table', 'view') AND x.hidden = 0
		AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND s.name NOT LIKE '\_async\_migration%' ESCAPE '\' AND s.sql NOT LIKE 'CREATE VIRTUAL%'`)
	if err != nil {
		return nil, nil // a view that is broken already
	}
	defer rows.Close()
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, fmt.Errorf("read the schema: %w", err)
		}
		all = append(all, probe{"an UPDATE of " + table + "." + column, fmt.Sprintf("UPDATE %s SET %s = %[2]s", lite.Main(table), lite.Ident(column)), table, column})
	}
	if rows.Err() != nil {
		return nil, nil
	}
	return all, nil
}

// goes reports whether a probe sets a column that the new table is not to have.
func (s rehearsal) goes(ctx context.Context, q lite.Querier, p probe) bool {
	if p.column == "" || !lite.SameName(p.table, s.Table) {
		return false
	}
	is, err := lite.LoadTable(ctx, q, s.Table)
	if err == nil {
		_, err = is.Column(p.column)
	}
	return err != nil
}

// foreignKeys lists those of the table, without an order.
func (s rehearsal) foreignKeys(ctx context.Context, q lite.Querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT lower(group_concat("from" || '>' || coalesce("to", ''), ',')) || ' ' || lower("table") FROM
		(SELECT * FROM pragma_foreign_key_list(?, 'main') ORDER BY id, seq) GROUP BY id`, s.Table)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys of %s: %w", s.Table, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, fmt.Errorf("read the foreign keys of %s: %w", s.Table, err)
		}
		all = append(all, key)
	}
	return all, rows.Err()
}

// sameForeignKeys refuses a foreign key that the table does not have yet: nothing has looked
// whether its rows meet it.
func (s rehearsal) sameForeignKeys(ctx context.Context, q lite.Querier, before []string) error {
	after, err := s.foreignKeys(ctx, q)
	if err != nil {
		return err
	}
	for _, key := range after {
		if !slices.Contains(before, key) {
			columns, table, _ := strings.Cut(key, " ")
			return fmt.Errorf("%w: it has a foreign key on %s (%s) that the table does not have now, and its rows are not checked for one", ErrShape, table, columns)
		}
	}
	for _, a := range s.Set {
		for _, key := range after {
			if strings.Contains(","+key, ","+lite.FoldName(a.Column)+">") {
				return fmt.Errorf("%w: column %s is a foreign key, and its new values are not checked for one", ErrShape, a.Column)
			}
		}
	}
	return nil
}
