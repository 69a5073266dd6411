package reshape

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Draft is what the table is to be, as far as it tells how large it will be.
type Draft struct {
	table   lite.Table // live
	columns string
	into    lite.Insert
	indexes []string // what each is over, from the parenthesis on
	added   int      // the one of them that a plain CREATE INDEX could make; -1 for none
	grafts  bool     // there is to be no new table
}

// Estimate is what a sample of the rows tells of all of them.
type Estimate struct {
	Rows, Sampled          int64
	TableBytes, IndexBytes int64         // of what is to be made
	Indexes                int           // how many
	PerRow                 time.Duration // to copy one, with its entries in the indexes
	Plain                  time.Duration // for which a plain CREATE INDEX would hold the writer; -1 if it is no such job
}

const (
	sampleBlocks    = 24
	sampleBlockRows = 1000
	sampleTable     = "_chunkfill_sample"
	termsTable      = "_chunkfill_terms"
)

// drafting describes the new table, once the shadow is there.
type drafting struct{ *Shape }

func (s drafting) draft(ctx context.Context, q lite.Querier) (d Draft, err error) {
	d.table, d.added, d.grafts = s.live, -1, s.Grafts()
	for _, ix := range s.indexes {
		d.indexes = append(d.indexes, ix.rest)
	}
	if s.addsOneIndex() {
		d.added = 0
	}
	s.columns(&d)
	if s.Twin {
		return d, nil
	}

	shadow, err := lite.LoadTable(ctx, q, shadowName(s.Table))
	if err != nil {
		return d, err
	}
	constraints, err := inquiry(s).uniques(ctx, q, shadow, func(string) string { return "" })
	for _, u := range constraints {
		if u.index != "" && !s.written(u) {
			d.indexes = append(d.indexes, "("+strings.Join(u.terms, ", ")+")")
		}
	}
	return d, err
}

// columns lists the columns of the sample: for a twin those that the index is over, which the table
// has as they are.
func (s drafting) columns(d *Draft) {
	d.into.Into = "INSERT INTO temp." + sampleTable
	var columns []string
	for _, c := range s.table.columnTexts() {
		if s.Twin && !lite.Names(s.indexes[0].rest)[lite.FoldName(c.name)] {
			continue
		}
		expr := ""
		if i := slices.IndexFunc(s.copied, func(p pair) bool { return lite.SameName(p.column, c.name) }); i >= 0 {
			expr = s.copied[i].expr
		}
		if s.Twin {
			expr, c.generated = lite.Ident(c.name), ""
		}

		columns = append(columns, c.probe(s.table.strict()))
		if expr != "" {
			d.into.Columns, d.into.Exprs = append(d.into.Columns, c.name), append(d.into.Exprs, expr)
		}
	}
	d.columns = strings.Join(columns, ", ")
}

// written reports whether a unique index is one of the CREATE INDEX statements.
func (s drafting) written(u unique) bool {
	return slices.ContainsFunc(s.indexes, func(ix index) bool { return lite.SameName(shadowName(ix.Name), u.index) })
}

// addsOneIndex reports whether all that is new is the first of the indexes.
func (s drafting) addsOneIndex() bool {
	statements := Statements(s.Schema)
	if len(statements) != 1 || len(s.Set) > 0 {
		return false
	}
	_, err := parseIndex(statements[0])
	return err == nil
}

// sampler is a Draft that is tried.
type sampler struct {
	Draft
	q       lite.Querier
	between func() error
	Estimate
	reading []float64     // of the terms of the added index, seconds a row, by block
	copying time.Duration // of whole rows
}

// Estimate measures on a sample of the rows, in short reads on one connection which does not write the
// database. They go into TEMP tables, on which the indexes are made.
func (d Draft) Estimate(ctx context.Context, q lite.Querier, between func() error) (e Estimate, err error) {
	s := sampler{Draft: d, q: q, between: between, Estimate: Estimate{Plain: -1, Indexes: len(d.indexes)}}
	defer func() { err = errors.Join(err, s.drop(context.WithoutCancel(ctx))) }()
	if err := s.measure(ctx); err != nil {
		return s.Estimate, fmt.Errorf("measure a sample of %s: %w", d.table.Name, err)
	}
	return s.Estimate, nil
}

func (s *sampler) drop(ctx context.Context) error {
	return run(ctx, s.q, "DROP TABLE IF EXISTS temp."+sampleTable, "DROP TABLE IF EXISTS temp."+termsTable)
}

func (s *sampler) measure(ctx context.Context) error {
	if err := s.drop(ctx); err != nil {
		return err
	}
	create := []string{"CREATE TABLE temp." + sampleTable + " (" + s.columns + ")"}
	for i, terms := range s.indexes {
		create = append(create, "CREATE INDEX "+s.indexName(i)+" ON "+sampleTable+" "+terms)
	}
	if s.added >= 0 {
		create = append(create, "CREATE TABLE temp."+termsTable+" ("+strings.Join(s.termColumns(), ", ")+")")
	}
	if err := run(ctx, s.q, create...); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil || s.Sampled == 0 {
		return err
	}
	s.PerRow = s.copying / time.Duration(s.Sampled)

	if err := s.weigh(ctx); err != nil {
		return err
	}
	return s.predict(ctx)
}

func (s *sampler) indexName(i int) string { return fmt.Sprintf("temp.%s_%d", sampleTable, i) }

// weigh measures the room that the indexes take, and the table, by what each leaves behind.
func (s *sampler) weigh(ctx context.Context) error {
	all, err := s.pages(ctx)
	if err != nil {
		return err
	}
	for i := range s.indexes {
		if err := run(ctx, s.q, "DROP INDEX "+s.indexName(i)); err != nil {
			return err
		}
	}
	table, err := s.pages(ctx)
	if err == nil {
		err = run(ctx, s.q, "DELETE FROM temp."+sampleTable)
	}
	rest, pagesErr := s.pages(ctx)
	s.IndexBytes = s.scaled(all - table)
	if !s.grafts {
		s.TableBytes = s.scaled(table - rest)
	}
	return errors.Join(err, pagesErr)
}

// scaled is so much of the sample, of all rows.
func (s *sampler) scaled(bytes int64) int64 {
	return int64(float64(bytes) * float64(s.Rows) / float64(s.Sampled))
}

// pages is how many bytes the TEMP tables take.
func (s *sampler) pages(ctx context.Context) (bytes int64, err error) {
	var count, free, size int64
	for pragma, to := range map[string]*int64{"page_count": &count, "freelist_count": &free, "page_size": &size} {
		if err := s.q.QueryRowContext(ctx, "PRAGMA temp."+pragma).Scan(to); err != nil {
			return 0, err
		}
	}
	return (count - free) * size, nil
}

// terms are what the added index is over.
func (s *sampler) terms() []string { return index{rest: s.indexes[s.added]}.terms() }

func (s *sampler) termColumns() (names []string) {
	for i := range s.terms() {
		names = append(names, "u"+strconv.Itoa(i))
	}
	return names
}

// fill reads some blocks of rows: spread over the table where its key is the rowid, else the first ones.
func (s *sampler) fill(ctx context.Context) error {
	key := s.table.Key
	lower, upper, err := key.Bounds(ctx, s.q)
	if err != nil || upper == nil {
		return err
	}
	if !key.Rowid {
		if s.Rows, err = s.table.CountRows(ctx, s.q); err != nil {
			return err
		}
	}

	spread := newSpread(key, lower, upper)
	var cursor lite.Pos
	for i := 0; i < sampleBlocks; i++ {
		if err := errors.Join(ctx.Err(), s.between()); err != nil {
			return err
		}
		if key.Rowid {
			cursor = spread.begin(i, cursor)
		}
		r, ok, err := key.Next(ctx, s.q, cursor, upper, sampleBlockRows)
		if err != nil || !ok {
			return err
		}
		if err := s.read(ctx, r); err != nil {
			return err
		}
		if key.Rowid {
			s.Rows += spread.rows(i, cursor, r)
		}
		cursor, s.Sampled = r.End, s.Sampled+int64(r.Rows)
	}
	return nil
}

// read copies a block of rows into the TEMP tables.
func (s *sampler) read(ctx context.Context, r lite.Range) error {
	if s.added >= 0 {
		terms := lite.Insert{Into: "INSERT INTO temp." + termsTable, Columns: s.termColumns(), Exprs: s.terms()}
		statement := s.table.Key.InsertStatement(terms, []string{index{rest: s.indexes[s.added]}.where()}, nil)
		began := time.Now()
		switch _, err := statement.Run(ctx, s.q, r); {
		case lite.Classify(err) == lite.Row: // which the look at all rows will tell
			s.added = -1
		case err != nil:
			return err
		}
		s.reading = append(s.reading, time.Since(began).Seconds()/float64(r.Rows))
	}
	began := time.Now()
	_, err := s.table.Key.InsertStatement(s.into, nil, nil).Run(ctx, s.q, r)
	s.copying += time.Since(began)
	if lite.Classify(err) == lite.Row {
		return nil // an expression fails on a row, which is for others to say
	}
	return err
}

// spread places blocks over the ids of a table, and counts the rows between them from how dense
// they are inside.
type spread struct {
	lower, upper, step float64
}

func newSpread(key lite.Key, lower, upper lite.Pos) (s spread) {
	if key.Rowid {
		s.lower, s.upper = idOf(lower), idOf(upper)
		s.step = (s.upper - s.lower + 1) / sampleBlocks
	}
	return s
}

func idOf(p lite.Pos) float64 {
	id, _ := strconv.ParseFloat(p[0], 64)
	return id
}

// begin is the position before a block: its place, or the end of the one before.
func (s spread) begin(i int, cursor lite.Pos) lite.Pos {
	start := s.lower + float64(i)*s.step - 1
	if i == 0 || cursor != nil && start <= idOf(cursor) {
		return cursor
	}
	return lite.Pos{strconv.FormatInt(int64(start), 10)}
}

// rows is about how many there are from the beginning of a block to that of the next.
func (s spread) rows(i int, cursor lite.Pos, r lite.Range) int64 {
	from, end, next := s.lower-1, idOf(r.End), s.upper
	if cursor != nil {
		from = idOf(cursor)
	}
	if i+1 < sampleBlocks {
		next = s.lower + float64(i+1)*s.step - 1
	}
	gap := max(0, next-end)
	return int64(r.Rows) + int64(gap*float64(r.Rows)/max(1, end-from))
}

// predict tells for how long a plain CREATE INDEX would hold the writer.
func (s *sampler) predict(ctx context.Context) error {
	if s.added < 0 {
		return nil
	}
	sorting := math.Inf(1)
	for range [2]int{} { // the machine has other things to do as well
		began := time.Now()
		if err := run(ctx, s.q, fmt.Sprintf("CREATE INDEX temp.%s_i ON %[1]s (%s)", termsTable, strings.Join(s.termColumns(), ", "))); err != nil {
			return err
		}
		sorting = min(sorting, time.Since(began).Seconds())
		if err := run(ctx, s.q, "DROP INDEX temp."+termsTable+"_i"); err != nil {
			return err
		}
	}

	slices.Sort(s.reading)
	n, all := float64(s.Sampled), float64(max(s.Rows, s.Sampled))
	seconds := all*s.reading[len(s.reading)/2] + sorting*all/n*math.Log2(all+1)/math.Log2(n+1)
	s.Plain = time.Duration(seconds * float64(time.Second))
	return nil
}
