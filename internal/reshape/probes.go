package reshape

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// probe is a statement that SQLite compiles together with all that it fires.
type probe struct {
	what, sql string
	parts     []probe // the same for each column by itself

	table, column string // that it sets, of one of these parts
}

// suspect is one that does not compile with the change made. It may not have compiled before.
type suspect struct {
	probe
	when string
	err  error
}

func (p probe) compiles(ctx context.Context, q lite.Querier) error {
	rows, err := q.QueryContext(ctx, "EXPLAIN "+p.sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Err()
}

// try compiles probes, and notes those that do not. The writer is held meanwhile, so whether they did before is not asked here.
func (r *Rehearsed) try(ctx context.Context, q lite.Querier, probes []probe, when string) {
	for _, p := range probes {
		err := p.compiles(ctx, q)
		if err == nil {
			continue
		}
		if p.parts == nil {
			r.suspects = append(r.suspects, suspect{p, when, err})
		}
		r.try(ctx, q, p.parts, when)
	}
}

// Broken refuses a change after which something would not work that works now. The rehearsal has to
// be rolled back by then.
func (r Rehearsed) Broken(ctx context.Context, q lite.Querier) error {
	for _, s := range r.suspects {
		if s.compiles(ctx, q) == nil {
			return fmt.Errorf("%w: %s %s: %w", ErrShape, s.what, s.when, s.err)
		}
	}
	return nil
}

// Failing are the statements that read or write a table or a view and do not compile, by what they are.
func Failing(ctx context.Context, q lite.Querier) (map[string]error, error) {
	all, err := probes(ctx, q)
	if err != nil {
		return nil, err
	}
	var r Rehearsed
	r.try(ctx, q, all, "")
	failing := map[string]error{}
	for _, s := range r.suspects {
		failing[s.what] = s.err
	}
	return failing, nil
}

// Excuse has Broken not ask for what did not compile when the rehearsal began: it is to be made again after it.
func (r *Rehearsed) Excuse(failing map[string]error) {
	r.suspects = slices.DeleteFunc(r.suspects, func(s suspect) bool { return failing[s.what] != nil })
}

// probes read each view, and write each table and view. A write of the table itself compiles the triggers on it.
func probes(ctx context.Context, q lite.Querier) (all []probe, err error) {
	names, err := texts(ctx, q, `SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND name NOT LIKE '\_async\_migration%' ESCAPE '\' AND sql NOT LIKE 'CREATE VIRTUAL%'`)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	for _, name := range names {
		table := lite.Main(name)
		all = append(all, probe{what: "a query of " + name, sql: "SELECT * FROM " + table},
			probe{what: "an INSERT into " + name, sql: "INSERT INTO " + table + " DEFAULT VALUES"}, probe{what: "a DELETE from " + name, sql: "DELETE FROM " + table})
		if p := update(ctx, q, name); p.parts != nil {
			all = append(all, p)
		}
	}
	return all, nil
}

// update sets all columns of a table to themselves, or, where that does not compile, each: a trigger
// may be for one column alone. A view that is broken already has none.
func update(ctx context.Context, q lite.Querier, table string) probe {
	columns, err := texts(ctx, q, "SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0", table)
	if err != nil {
		return probe{}
	}
	set := make([]string, len(columns))
	p := probe{what: "an UPDATE of " + table}
	for i, column := range columns {
		set[i] = fmt.Sprintf("%s = %[1]s", lite.Ident(column))
		p.parts = append(p.parts, probe{what: p.what + "." + column, sql: "UPDATE " + lite.Main(table) + " SET " + set[i], table: table, column: column})
	}
	p.sql = "UPDATE " + lite.Main(table) + " SET " + strings.Join(set, ", ")
	return p
}

// texts reads a column of texts.
func texts(ctx context.Context, q lite.Querier, query string, args ...any) (all []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}
