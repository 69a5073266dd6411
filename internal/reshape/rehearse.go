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
	Lost  []string            // columns whose values go with the old table

	suspects []suspect
}

// Rehearse makes the change of shape without the rows, in a transaction that the caller rolls
// back. What would no longer work then, a trigger, a view or a foreign key, is for Broken to say, once
// it is rolled back. It takes a few milliseconds, however large the table is.
func (w Wanted) Rehearse(ctx context.Context, q lite.Querier) (r Rehearsed, err error) {
	if err := checkVersion(ctx, q); err != nil {
		return r, err
	}
	s, err := w.Load(ctx, q)
	if err != nil {
		return r, err
	}
	r.Table, r.SQL = s.live, map[string][]string{}
	err = rehearsal{&s}.rehearse(ctx, q, &r)
	if err != nil && strings.Contains(err.Error(), "may not be modified") {
		err = fmt.Errorf("%w: %w", errDefensive, err)
	}
	return r, err
}

// rehearsal is the change of shape without the rows.
type rehearsal struct{ *Shape }

func (s rehearsal) rehearse(ctx context.Context, q lite.Querier, found *Rehearsed) error {
	probes, err := probes(ctx, q)
	if err != nil {
		return err
	}
	keys, err := s.foreignKeys(ctx, q)
	if err != nil {
		return err
	}
	if err := s.referredTo(ctx, q); err != nil {
		return err
	}

	if err := s.change(ctx, q, found, probes); err != nil {
		return err
	}
	found.try(ctx, q, probes, noLonger)
	found.suspects = slices.DeleteFunc(found.suspects, func(p suspect) bool { return p.when == noLonger && s.goes(ctx, q, p.probe) })
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
func (s rehearsal) change(ctx context.Context, q lite.Querier, found *Rehearsed, probes []probe) (err error) {
	steps := recorder{Querier: q, found: found}
	if _, err := s.Create(ctx, steps.of("shadow")); err != nil {
		return err
	}
	if err := s.expressions(ctx, q); err != nil {
		return err
	}
	found.Lost = s.lost()
	found.try(ctx, q, probes, "would not work while rows are copied")
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

// expressions refuses one of Set that no row could be copied with, such as one over a column that is not there.
func (s rehearsal) expressions(ctx context.Context, q lite.Querier) error {
	for _, a := range s.Set {
		p := probe{sql: "SELECT " + a.Expr + "\n FROM " + lite.Main(s.Table)}
		if err := p.compiles(ctx, q); err != nil {
			return fmt.Errorf("%w: the expression of %s cannot be used: %w; %s has %s", ErrShape, a.Column, err, s.Table, names(s.live))
		}
	}
	return nil
}

// lost are the columns that the new table does not have, nor any expression of Set makes use of.
func (s rehearsal) lost() (columns []string) {
	if s.Grafts() {
		return nil
	}
	for _, c := range s.live.Columns {
		taken := slices.ContainsFunc(s.copied, func(p pair) bool {
			return lite.SameName(p.column, c.Name) || lite.Names(p.expr)[lite.FoldName(c.Name)]
		})
		if !taken && !c.Generated {
			columns = append(columns, c.Name)
		}
	}
	return columns
}

// refused is what keeps the change from being made.
func refused(err error) error {
	if err == nil || errors.Is(err, ErrShape) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrShape, err)
}

const noLonger = "would no longer work"

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
	rows, err := q.QueryContext(ctx, `SELECT lower(group_concat("from" || '>' || "to", ',')) || ' ' || lower("table") FROM
		(SELECT id, "table", "from", coalesce("to", (SELECT name FROM pragma_table_xinfo(f."table", 'main') WHERE pk = seq + 1), '') AS "to"
			FROM pragma_foreign_key_list(?, 'main') f ORDER BY id, seq) GROUP BY id`, s.Table)
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
			WHERE m.type = 'table' AND f."table" = ?1 COLLATE NOCASE AND (f."to" = ?2 COLLATE NOCASE
				OR f."to" IS NULL AND EXISTS (SELECT 1 FROM pragma_table_xinfo(?1, 'main') c WHERE c.pk AND c.name = ?2 COLLATE NOCASE)) LIMIT 1`, s.Table, a.Column).Scan(&table, &column)
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
