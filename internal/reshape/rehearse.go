package reshape

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Rehearsed is what a rehearsal has found.
type Rehearsed struct {
	Table lite.Table
	SQL   map[string][]string // by step: what changes the schema, and what a batch does
	Rules Rules               // what is to be looked for in the rows
	Draft Draft               // what is to be measured on a sample of them
	Plans [][]string          // of Wanted.Queries, as they will be
}

// Rehearse makes the change of shape without the rows, in a transaction that the caller rolls
// back, and refuses one after which a trigger, a view or a foreign key would no longer work that
// works now. It takes a few milliseconds, however large the table is.
func (w Wanted) Rehearse(ctx context.Context, q lite.Querier) (r Rehearsed, err error) {
	if err := checkVersion(ctx, q); err != nil {
		return r, err
	}
	s, err := w.Load(ctx, q)
	if err != nil {
		return r, err
	}
	r.Table, r.SQL = s.live, map[string][]string{}
	return r, rehearsal{&s}.rehearse(ctx, q, &r)
}

// rehearsal is the change of shape without the rows.
type rehearsal struct{ *Shape }

func (s rehearsal) rehearse(ctx context.Context, q lite.Querier, found *Rehearsed) error {
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
	if err := s.referredTo(ctx, q); err != nil {
		return err
	}

	if err := s.change(ctx, q, found); err != nil {
		return err
	}
	for _, p := range probes {
		if err := p.compiles(ctx, q); worked[p.what+p.sql] && err != nil {
			return fmt.Errorf("%w: %s would no longer work: %w", ErrShape, p.what, err)
		}
	}
	for _, query := range s.Queries {
		plan, err := QueryPlan(ctx, q, query)
		if err != nil {
			return err
		}
		found.Plans = append(found.Plans, plan)
	}
	return s.sameForeignKeys(ctx, q, keys)
}

// change makes the change, and notes how.
func (s rehearsal) change(ctx context.Context, q lite.Querier, found *Rehearsed) (err error) {
	steps := recorder{Querier: q, found: found}
	if _, err := s.Create(ctx, steps.of("shadow")); err != nil {
		return err
	}
	if len(s.copied) > 0 {
		text, _ := s.live.Key.InsertStatement(s.Insert(), nil, nil).SQL(s.live.Key.Sample())
		found.SQL["copy"] = []string{text}
	}
	if found.Rules, err = inquiry(s).rules(ctx, q); err != nil {
		return err
	}
	if found.Draft, err = drafting(s).draft(ctx, q); err != nil {
		return err
	}

	if !s.Twin {
		if _, err := Indexes(s).Create(ctx, steps.of("settle")); err != nil {
			return err
		}
		if err := Indexes(s).Attach(ctx, steps.of("attach")); err != nil {
			return refused(err)
		}
	}
	found.SQL["empty"] = []string{"DELETE FROM " + lite.Main(s.Rest()) + " WHERE …"}
	found.SQL["drop"] = s.Dropped()
	return refused(swap(s).exchange(ctx, steps.of("swap")))
}

// refused is what keeps the change from being made.
func refused(err error) error {
	if err == nil || errors.Is(err, ErrShape) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrShape, err)
}

// probe is a statement that SQLite compiles together with all that it fires.
type probe struct{ what, sql string }

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
			all = append(all, probe{"view " + name, "SELECT * FROM " + lite.Main(name)})
		}
		all = append(all, probe{"an INSERT into " + name, "INSERT INTO " + lite.Main(name) + " DEFAULT VALUES"},
			probe{"a DELETE from " + name, "DELETE FROM " + lite.Main(name)})
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
		all = append(all, probe{"an UPDATE of " + table + "." + column, fmt.Sprintf("UPDATE %s SET %s = %[2]s", lite.Main(table), lite.Ident(column))})
	}
	if rows.Err() != nil {
		return nil, nil
	}
	return all, nil
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

// referredTo refuses new values for a column that another table refers to: its rows, and the actions of
// its foreign keys, would not follow. Whether foreign keys are enforced makes no difference.
func (s rehearsal) referredTo(ctx context.Context, q lite.Querier) error {
	for _, a := range s.Set {
		var table, column string
		err := q.QueryRowContext(ctx, `SELECT m.name, f."from" FROM main.sqlite_schema m, pragma_foreign_key_list(m.name, 'main') f
			WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND f."to" = ? COLLATE NOCASE LIMIT 1`, s.Table, a.Column).Scan(&table, &column)
		switch {
		case err == nil:
			return fmt.Errorf("%w: column %s is what the foreign key %s.%s refers to, and a new value for it would leave the rows of %[3]s behind; "+
				"leave it out of Set, or drop that foreign key first", ErrShape, a.Column, table, column)
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("read the foreign keys to %s: %w", s.Table, err)
		}
	}
	return nil
}
