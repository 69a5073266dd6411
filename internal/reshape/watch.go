package reshape

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// watch has live writes noted in the log.
type watch struct{ *Shape }

// triggers note the keys of rows that are written, before and after. INSERT OR REPLACE removes rows
// of other keys without a trigger of theirs; so keys are noted beforehand that the new
// row will displace.
func (s watch) triggers(ctx context.Context, q lite.Querier) ([]string, error) {
	displaced, err := s.displaced(ctx, q)
	if err != nil {
		return nil, err
	}
	keys, olds, news := make([]string, len(s.key)), make([]string, len(s.key)), make([]string, len(s.key))
	for i, name := range s.key {
		keys[i], olds[i], news[i] = keyColumn(i), "OLD."+lite.Ident(name), "NEW."+lite.Ident(name)
	}
	selected := slices.Clone(s.key)
	for _, c := range s.noted() {
		keys, olds, news = append(keys, lite.Ident(c.Name)), append(olds, "OLD."+lite.Ident(c.Name)), append(news, "NULL")
		selected = append(selected, c.Name)
	}
	into := fmt.Sprintf("INSERT INTO %s (%s) ", lite.Ident(logName(s.Table)), strings.Join(keys, ", "))
	log := func(values []string) string { return into + "VALUES (" + strings.Join(values, ", ") + "); " }

	before := ""
	for _, where := range displaced {
		before += into + "SELECT " + lite.Idents(selected) + " FROM " + lite.Ident(s.Table) + " WHERE " + where + "; "
	}
	bodies := map[string][2]string{"ai": {"AFTER INSERT", log(news)}, "au": {"AFTER UPDATE", log(olds) + log(news)}, "ad": {"AFTER DELETE", log(olds)}}
	if before != "" {
		bodies["bi"], bodies["bu"] = [2]string{"BEFORE INSERT", before}, [2]string{"BEFORE UPDATE", before}
	}

	var statements []string
	for _, e := range events {
		if b, ok := bodies[e]; ok {
			statements = append(statements, fmt.Sprintf("CREATE TRIGGER %s %s ON %s BEGIN %sEND", lite.Main(triggerName(s.Table, e)), b[0], lite.Ident(s.Table), b[1]))
		}
	}
	return statements, nil
}

// displaced returns, for each unique index besides the key, the condition for the row whose
// place there a new row takes.
func (s watch) displaced(ctx context.Context, q lite.Querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT l.name, x.seqno, coalesce(x.name, ''), x.coll FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE l."unique" AND x.key ORDER BY l.seq, x.seqno`, s.Table)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", s.Table, err)
	}
	defer rows.Close()
	var wheres []string
	for rows.Next() {
		var name, column, collation string
		var n int
		if err := rows.Scan(&name, &n, &column, &collation); err != nil {
			return nil, fmt.Errorf("read indexes of %s: %w", s.Table, err)
		}
		term := lite.Ident(column)
		if column == "" {
			if term, err = s.term(name, n); err != nil {
				return nil, err
			}
		}

		where := fmt.Sprintf("%s = %s COLLATE %s", term, s.ofNew(term), lite.Ident(collation))
		if n == 0 {
			wheres = append(wheres, where)
		} else {
			wheres[len(wheres)-1] += " AND " + where
		}
	}
	return wheres, rows.Err()
}

// term is the n-th of what an index of the table is over, where that is an expression.
func (s watch) term(name string, n int) (string, error) {
	for _, o := range s.objects {
		if o.kind != "index" || o.name != name {
			continue
		}
		ix, err := parseIndex(o.sql)
		if terms := ix.terms(); err == nil && n < len(terms) {
			return terms[n], nil
		}
	}
	return "", fmt.Errorf("%w: index %s has a form that is not known", ErrShape, name)
}

// ofNew is an expression over the row that a trigger is for: inside a query of its own, names of columns
// are those of that row.
func (s watch) ofNew(expr string) string {
	var columns []string
	for _, c := range s.live.Columns {
		if !c.Generated {
			columns = append(columns, "NEW."+lite.Ident(c.Name)+" AS "+lite.Ident(c.Name))
		}
	}
	for _, c := range s.live.Columns {
		if c.Generated && lite.Names(expr)[lite.FoldName(c.Name)] {
			columns = append(columns, "NEW."+lite.Ident(c.Name)+" AS "+lite.Ident(c.Name))
		}
	}
	if strings.HasPrefix(expr, `"`) {
		return "NEW." + expr
	}
	return "(SELECT " + expr + " FROM (SELECT " + strings.Join(columns, ", ") + "))"
}
