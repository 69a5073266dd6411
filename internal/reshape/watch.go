package reshape

import (
	"context"
	"fmt"
	"maps"
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

	before := func(wheres []string) (body string) {
		for _, where := range wheres {
			body += into + "SELECT " + lite.Idents(selected) + " FROM " + lite.Ident(s.Table) + " AS _chunkfill_t WHERE " + where + "; "
		}
		return body
	}
	arriving, changing := displaced, displaced
	if len(s.noted()) > 0 { // and the values of the row whose number the new one takes: its key alone does not tell them
		number := lite.Ident(s.number())
		same := number + " = NEW." + number
		arriving = append(slices.Clip(displaced), same)
		changing = append(slices.Clip(displaced), same+" AND NEW."+number+" <> OLD."+number)
	}
	bodies := map[string][2]string{"ai": {"AFTER INSERT", log(news)}, "au": {"AFTER UPDATE", log(olds) + log(news)}, "ad": {"AFTER DELETE", log(olds)}}
	if len(arriving) > 0 {
		bodies["bi"], bodies["bu"] = [2]string{"BEFORE INSERT", before(arriving)}, [2]string{"BEFORE UPDATE", before(changing)}
	}

	var statements []string
	for _, e := range events {
		if b, ok := bodies[e]; ok {
			statements = append(statements, fmt.Sprintf("CREATE TRIGGER %s %s ON %s BEGIN %sEND", lite.Main(triggerName(s.Table, e)), b[0], lite.Ident(s.Table), b[1]))
		}
	}
	return statements, nil
}

// uniqueTerm is what a unique index of the table is over, or one of the things.
type uniqueTerm struct {
	index, term, collation string
	expression             bool
}

// displaced returns, for each unique index besides the key, the condition for the row whose
// place there a new row takes.
func (s watch) displaced(ctx context.Context, q lite.Querier) ([]string, error) {
	terms, err := s.uniqueTerms(ctx, q)
	if err != nil {
		return nil, err
	}
	values, err := s.values(ctx, q)
	if err != nil {
		return nil, err
	}

	// Where a row gets the next number, that is not known yet, and is -1 here.
	coming, number := maps.Clone(values), ""
	var wheres []string
	if s.live.Key.Rowid {
		number = s.number()
		coming[lite.Ident(number)] = s.nextNumber()
		if !lite.SameName(s.key[0], number) { // it has no index
			wheres = append(wheres, fmt.Sprintf("%s = NEW.%[1]s", lite.Ident(number)))
		}
	}
	for len(terms) > 0 {
		n := 1
		for n < len(terms) && terms[n].index == terms[0].index {
			n++
		}
		of := terms[:n]
		terms = terms[n:]
		wheres = append(wheres, s.taken(of, values))
		if slices.ContainsFunc(of, func(t uniqueTerm) bool { return t.expression && lite.Names(t.term)[lite.FoldName(number)] }) {
			wheres = append(wheres, "NEW."+lite.Ident(number)+" = -1 AND "+s.taken(of, coming))
		}
	}
	return wheres, nil
}

func (s watch) uniqueTerms(ctx context.Context, q lite.Querier) (all []uniqueTerm, err error) {
	rows, err := q.QueryContext(ctx, `SELECT l.name, x.seqno, coalesce(x.name, ''), x.coll FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE l."unique" AND x.key ORDER BY l.seq, x.seqno`, s.Table)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", s.Table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var t uniqueTerm
		var column string
		var n int
		if err := rows.Scan(&t.index, &n, &column, &t.collation); err != nil {
			return nil, fmt.Errorf("read indexes of %s: %w", s.Table, err)
		}
		t.term, t.expression = lite.Ident(column), column == ""
		if t.expression {
			if t.term, err = s.term(t.index, n); err != nil {
				return nil, err
			}
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// taken is the condition that the place of a row that comes is taken in a unique index. Each condition stands by
// itself: with an OR SQLite would read the whole table for each live write.
func (s watch) taken(terms []uniqueTerm, values map[string]string) string {
	var equal []string
	for _, t := range terms {
		equal = append(equal, s.same(t.term, values, t.expression)+" COLLATE "+lite.Ident(t.collation))
	}
	return strings.Join(equal, " AND ") + s.within(terms[0].index)
}

// within is the condition of a partial index, without which SQLite would not use it: each live write would read the
// whole table. Of the row that comes it is not asked, so a row more may be noted.
func (s watch) within(name string) string {
	for _, o := range s.objects {
		if o.kind != "index" || o.name != name {
			continue
		}
		if ix, err := parseIndex(o.sql); err == nil && ix.where() != "" {
			return " AND (" + ix.where() + "\n)"
		}
	}
	return ""
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

// number is the column that is the rowid, of a table that has one.
func (s watch) number() string { return s.live.Key.Columns[0].Name }

// nextNumber is the number that SQLite will give a row that has none.
func (s watch) nextNumber() string {
	number := fmt.Sprintf("(SELECT coalesce(max(%s), 0) + 1 FROM %s)", lite.Ident(s.number()), lite.Ident(s.Table))
	if was, err := parseTable(s.objects[0].sql); err != nil || !was.autoincrement() {
		return number
	}
	return fmt.Sprintf("max(%s, coalesce((SELECT seq + 1 FROM sqlite_sequence WHERE name = '%s'), 1))", number, strings.ReplaceAll(s.Table, "'", "''"))
}

// same is the condition that a term of an index is, in a row that is there, what it is in the row that
// comes.
func (s watch) same(term string, values map[string]string, expression bool) string {
	if !expression {
		return term + " = " + values[term]
	}
	// Inside a query of its own, names of columns are those of the row that comes.
	names := lite.Names(term)
	var columns []string
	for _, c := range s.live.Columns {
		if name := lite.Ident(c.Name); !c.Generated || names[lite.FoldName(c.Name)] {
			columns = append(columns, s.asStored(c, values[name])+" AS "+name)
		}
	}
	return term + " = (SELECT " + term + " FROM (SELECT " + strings.Join(columns, ", ") + "))"
}

// asStored is a value of the row that comes as an expression over it compares it once it is stored: NEW.c has no
// affinity, and '2' IN (1, 2) is false. A query has that of its last part, also where that gives no row.
func (s watch) asStored(c lite.Column, value string) string {
	was, err := parseTable(s.objects[0].sql)
	if err != nil {
		return value
	}
	kind := typeName(c, was.strict())
	if kind == "" {
		return value
	}
	stored := "(SELECT " + value + " UNION ALL SELECT CAST(NULL AS " + kind + ") WHERE 0)"
	if collation := was.collation(c.Name); collation != "" {
		stored += " COLLATE " + lite.Ident(collation)
	}
	return stored
}

// values are, by column, what it will hold. A REPLACE puts the default in place of a NULL that
// is not allowed, but not before our trigger has run.
func (s watch) values(ctx context.Context, q lite.Querier) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT name, type, "notnull" AND hidden = 0, coalesce(dflt_value, 'NULL') FROM pragma_table_xinfo(?, 'main')`, s.Table)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", s.Table, err)
	}
	defer rows.Close()
	values := map[string]string{}
	for rows.Next() {
		var name, decl, instead string
		var notNull bool
		if err := rows.Scan(&name, &decl, &notNull, &instead); err != nil {
			return nil, fmt.Errorf("read the columns of %s: %w", s.Table, err)
		}
		value := "NEW." + lite.Ident(name)
		if notNull && instead != "NULL" {
			if affinityOf(decl) == text {
				instead = "CAST(" + instead + " AS TEXT)"
			}
			value = "coalesce(" + value + ", " + instead + ")"
		}
		values[lite.Ident(name)] = value
	}
	return values, rows.Err()
}
