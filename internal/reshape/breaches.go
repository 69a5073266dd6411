package reshape

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Look holds the rows of the table against rules, on one connection which does not write the database:
// a short read of the table at a time, into a TEMP table that has the columns of the new one, and no
// constraint. What must be unique is gathered in another, and sorted when all is read.
type Look struct {
	Rules
	Between func() error // called between two reads of the table
}

const (
	fewestLooked = 64
	mostLooked   = 4096
	longLook     = 2 * time.Millisecond // that a read of the table should take
	shownKeys    = 5
	mostFailing  = 100 // rows on which an expression fails, after which the look ends
)

// looking is a Look that is under way.
type looking struct {
	Look
	q      lite.Querier
	rows   []int64    // that break a rule, by rule
	shown  [][]string // some of them
	failed []string   // keys of rows on which an expression fails
	why    error      // with which the first of them does
}

// Breaches returns what is wrong with the rows, in words: how many break each rule, and the first of them.
func (l Look) Breaches(ctx context.Context, q lite.Querier) (found []string, err error) {
	if l.Empty() {
		return nil, nil
	}
	w := looking{Look: l, q: q}
	defer func() { err = errors.Join(err, w.drop(context.WithoutCancel(ctx))) }()
	if err := w.create(ctx); err != nil {
		return nil, err
	}
	if err := w.walk(ctx); err != nil {
		return nil, fmt.Errorf("look for rows of %s that the new shape does not allow: %w", l.table.Name, err)
	}

	if n := len(w.failed); n > 0 {
		found = append(found, fmt.Sprintf("an expression fails on %s of the rows, such as %s: %v; change those rows, or the expression", w.atLeast(n), w.list(w.failed), lite.Explain(w.why)))
	}
	for i, r := range w.rules {
		if w.rows[i] > 0 {
			found = append(found, r.says(w.rows[i], w.list(w.shown[i])))
		}
	}
	repeated, err := w.repeated(ctx)
	return append(found, repeated...), err
}

// list is some keys, as people read them.
func (w *looking) list(keys []string) string {
	return strings.Join(keys[:min(shownKeys, len(keys))], ", ")
}

// atLeast is how many rows an expression has failed on.
func (w *looking) atLeast(n int) string {
	if n == mostFailing {
		return fmt.Sprintf("at least %d", n)
	}
	return strconv.Itoa(n)
}

func uniqueTable(i int) string { return fmt.Sprintf("temp._chunkfill_unique_%d", i+1) }

// create makes the TEMP tables. A rule that cannot be asked in a query is left out: the job will
// meet the rows that break it.
func (w *looking) create(ctx context.Context) error {
	if err := w.drop(ctx); err != nil {
		return err
	}
	if err := run(ctx, w.q, "CREATE TABLE "+probeTable+" ("+w.probe+")"); err != nil {
		return err
	}
	for i, over := range w.computed {
		if err := run(ctx, w.q, fmt.Sprintf("CREATE INDEX %s_%d ON _chunkfill_probe %s", probeTable, i, over)); err != nil {
			return err
		}
	}
	var rules []rule
	for _, r := range w.rules {
		if (probe{sql: "SELECT " + r.broken + " FROM " + probeTable}).compiles(ctx, w.q) == nil {
			rules = append(rules, r)
		}
	}
	w.rules = rules
	w.rows, w.shown = make([]int64, len(rules)), make([][]string, len(rules))

	for i, u := range w.uniques {
		columns := w.keyColumns()
		for j, collation := range u.collations {
			columns = append(columns, fmt.Sprintf("u%d COLLATE %s", j, lite.Ident(collation)))
		}
		if err := run(ctx, w.q, fmt.Sprintf("CREATE TABLE %s (%s)", uniqueTable(i), strings.Join(columns, ", "))); err != nil {
			return err
		}
	}
	return nil
}

func (w *looking) drop(ctx context.Context) error {
	statements := []string{"DROP TABLE IF EXISTS " + probeTable}
	for i := range w.uniques {
		statements = append(statements, "DROP TABLE IF EXISTS "+uniqueTable(i))
	}
	return run(ctx, w.q, statements...)
}

func (w *looking) keyColumns() (all []string) {
	for i := 0; i < w.keys; i++ {
		all = append(all, keyColumn(i))
	}
	return all
}

// key is the key of a row of the probe, as it is shown.
func (w *looking) key() string {
	return "'(' || " + shortAll(w.keyColumns()) + " || ')'"
}

// walk reads the table once.
func (w *looking) walk(ctx context.Context) error {
	key := w.table.Key
	_, upper, err := key.Bounds(ctx, w.q)
	if err != nil {
		return err
	}
	statement := key.InsertStatement(w.into, nil, nil)
	var cursor lite.Pos
	for size := fewestLooked; upper != nil; {
		if err := errors.Join(ctx.Err(), w.Between()); err != nil {
			return err
		}
		r, ok, err := key.Next(ctx, w.q, cursor, upper, size)
		if err != nil || !ok {
			return err
		}
		began := time.Now()
		_, err = statement.Run(ctx, w.q, r)
		switch {
		case err == nil:
		case lite.Classify(err) != lite.Row:
			return err
		case r.Rows > 1:
			size = max(1, r.Rows/2)
			continue
		default:
			if w.fails(r, err) {
				return nil
			}
		}

		if err := w.judge(ctx); err != nil {
			return err
		}
		cursor, size = r.End, next(size, time.Since(began))
	}
	return nil
}

// next is how many rows the next read has.
func next(size int, took time.Duration) int {
	if took > longLook {
		return max(fewestLooked, size/2)
	}
	return min(mostLooked, 2*size)
}

// fails notes a row on which an expression fails, and reports whether there have been enough of them.
func (w *looking) fails(r lite.Range, err error) bool {
	if w.failed == nil {
		w.why = err
	}
	w.failed = append(w.failed, "("+r.End.String()+")")
	return len(w.failed) == mostFailing
}

// judge looks at the rows of the probe, and empties it.
func (w *looking) judge(ctx context.Context) error {
	if err := w.count(ctx); err != nil {
		return err
	}
	for i, u := range w.uniques {
		where := make([]string, len(u.terms))
		for j, term := range u.terms {
			where[j] = "(" + term + ") IS NOT NULL"
		}
		if u.where != "" {
			where = append(where, "("+u.where+")")
		}
		if err := run(ctx, w.q, fmt.Sprintf("INSERT INTO %s SELECT %s, %s FROM %s WHERE %s", uniqueTable(i),
			strings.Join(w.keyColumns(), ", "), strings.Join(u.terms, ", "), probeTable, strings.Join(where, " AND "))); err != nil {
			return err
		}
	}
	return run(ctx, w.q, "DELETE FROM "+probeTable)
}

// count counts the rows that break each rule.
func (w *looking) count(ctx context.Context) error {
	if len(w.rules) == 0 {
		return nil
	}
	counts, found := make([]string, len(w.rules)), make([]int64, len(w.rules))
	into := make([]any, len(w.rules))
	for i, r := range w.rules {
		counts[i], into[i] = "count(*) FILTER (WHERE "+r.broken+")", &found[i]
	}
	if err := w.q.QueryRowContext(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM "+probeTable).Scan(into...); err != nil {
		return err
	}

	for i, r := range w.rules {
		if w.rows[i] += found[i]; found[i] == 0 || len(w.shown[i]) >= shownKeys {
			continue
		}
		text := w.key()
		if r.column != "" {
			text = short(lite.Ident(r.column)) + " || ' in ' || " + text
		}
		some, err := texts(ctx, w.q, fmt.Sprintf("SELECT %s FROM %s WHERE %s LIMIT %d", text, probeTable, r.broken, shownKeys))
		if err != nil {
			return err
		}
		w.shown[i] = append(w.shown[i], some...)
	}
	return nil
}

// repeated looks for values that are there more than once. It reads the TEMP tables alone.
func (w *looking) repeated(ctx context.Context) (found []string, err error) {
	for i, u := range w.uniques {
		terms := make([]string, len(u.terms))
		for j := range terms {
			terms[j] = fmt.Sprintf("u%d", j)
		}
		groups := fmt.Sprintf("SELECT %s, count(*) AS n, min(%s) || ' and ' || max(%[2]s) AS at FROM %s GROUP BY %[1]s HAVING n > 1", strings.Join(terms, ", "), w.key(), uniqueTable(i))
		var values, rows int64
		if err := w.q.QueryRowContext(ctx, "SELECT count(*), coalesce(sum(n), 0) FROM ("+groups+")").Scan(&values, &rows); err != nil {
			return nil, fmt.Errorf("look for values of %s that are there twice: %w", u.name, err)
		}
		if values == 0 {
			continue
		}
		some, err := texts(ctx, w.q, fmt.Sprintf("SELECT %s || ' in ' || at FROM (%s) LIMIT %d", shortAll(terms), groups, shownKeys))
		if err != nil {
			return nil, err
		}
		found = append(found, fmt.Sprintf("%s does not hold: %d of the rows share %d values, such as %s; change or delete rows until each has its own",
			u.name, rows, values, w.list(some)))
	}
	return found, nil
}
