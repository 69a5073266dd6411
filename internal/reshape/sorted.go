package reshape

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/sorted"
)

// What the tables are called on which indexes are built.
func sortedName(table string, i int) string {
	return fmt.Sprintf("_chunkfill_sorted_%d_%s", i+1, table)
}
func spareName(table string, i int) string { return fmt.Sprintf("_chunkfill_spare_%d_%s", i+1, table) }

// Grafts reports whether the one index of the job is built in the order of its entries and made one of the
// live table. One that is unique is built on a twin, where it is unique from the beginning.
func (w Wanted) Grafts() bool {
	if !w.Twin {
		return false
	}
	statements := Statements(w.Schema)
	if len(statements) != 1 {
		return false
	}
	ix, err := parseIndex(statements[0])
	return err == nil && !ix.unique
}

// Rest is the table whose rows are not needed after the swap.
func (w Wanted) Rest() string {
	switch {
	case w.Grafts():
		return sortedName(w.Table, 0)
	case w.Twin:
		return shadowName(w.Table)
	}
	return OldName(w.Table)
}

// Dropped are the tables that go at the very end.
func (w Wanted) Dropped() []string {
	drop := []string{"DROP TABLE IF EXISTS " + lite.Main(w.Rest())}
	if w.Grafts() {
		drop = append(drop, "DROP TABLE IF EXISTS "+lite.Main(spareName(w.Table, 0)))
	}
	return drop
}

// Indexes are those of a shape that are built in the order of their entries.
type Indexes struct{ *Shape }

// part parts the indexes into those that the shadow has from the beginning and those that are built later.
func (s Indexes) part(ctx context.Context, q lite.Querier, shadow lite.Table) error {
	s.late = nil
	for _, ix := range s.indexes {
		ok, err := s.canWait(ctx, q, ix, shadow)
		if err != nil {
			return err
		}
		if ok {
			s.late = append(s.late, ix)
		}
	}
	return nil
}

// canWait reports whether an index can be built when the rows are copied. The entries have rowids, which must be
// such as VACUUM leaves alone. A unique index can wait where the table has it, too, over the same values: the
// rows are then known to be unique in it.
func (s Indexes) canWait(ctx context.Context, q lite.Querier, ix index, shadow lite.Table) (bool, error) {
	if !slices.ContainsFunc(shadow.Keys, func(k lite.Key) bool { return k.Rowid }) {
		return false, nil
	}
	if !ix.unique {
		return true, nil
	}
	was := slices.IndexFunc(s.objects, func(o object) bool { return o.kind == "index" && o.sql != "" && lite.SameName(o.name, ix.Name) })
	if was < 0 {
		return false, nil
	}
	before, err := parseIndex(s.objects[was].sql)
	if err != nil || !before.unique || before.rest != ix.rest {
		return false, err
	}

	old, err := parseTable(s.objects[0].sql)
	if err != nil {
		return false, err
	}
	for name := range lite.Names(ix.rest) {
		c, err := s.live.Column(name)
		if err != nil {
			continue // a function, a word
		}
		same := slices.ContainsFunc(s.copied, func(p pair) bool { return p.same && lite.SameName(p.column, name) })
		if !same || !strings.EqualFold(old.collation(c.Name), s.table.collation(c.Name)) ||
			slices.ContainsFunc(s.conversions, func(c Conversion) bool { return lite.SameName(c.Column, name) }) {
			return false, nil
		}
	}
	return true, nil
}

// describe has the indexes of s.late as they are built on their own tables, over the rows of another. Each is made on an empty
// table once, which tells how it is sorted.
func (s Indexes) describe(ctx context.Context, q lite.Querier, of lite.Table) error {
	empty := "_chunkfill_empty_" + s.Table
	if err := run(ctx, q, withoutReferences(s.table.as(empty))); err != nil {
		return fmt.Errorf("%w: %w", ErrShape, lite.Explain(err))
	}
	s.sorted = nil
	for i, ix := range s.late {
		name := shadowName(ix.Name)
		if err := run(ctx, q, ix.as(name, empty)); err != nil {
			return fmt.Errorf("%w: %w", ErrShape, lite.Explain(err))
		}
		built, err := s.sortedIndex(ctx, q, i, of)
		if err == nil {
			err = run(ctx, q, "DROP INDEX "+lite.Main(name))
		}
		if err != nil {
			return err
		}
		s.sorted = append(s.sorted, built)
	}
	return run(ctx, q, "DROP TABLE "+lite.Main(empty))
}

// sortedIndex is the i-th of s.late as it is built, where an index of its order is there.
func (s Indexes) sortedIndex(ctx context.Context, q lite.Querier, i int, of lite.Table) (sorted.Index, error) {
	ix := s.late[i]
	built := sorted.Index{
		Name: shadowName(ix.Name), Table: sortedName(s.Table, i), Spare: spareName(s.Table, i),
		Of: of.Name, Rowid: rowidOf(of), Where: ix.where(),
	}
	for _, alias := range []string{"rowid", "_rowid_", "oid"} {
		if _, err := of.Column(alias); err != nil && lite.Names(ix.rest)[alias] {
			return built, fmt.Errorf("%w: index %s is over the rowid; name the column of the key in its place", ErrShape, ix.Name)
		}
	}

	rows, err := q.QueryContext(ctx, `SELECT coll, "desc" FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno`, built.Name)
	if err != nil {
		return built, fmt.Errorf("read index %s: %w", ix.Name, err)
	}
	defer rows.Close()
	terms := ix.terms()
	for rows.Next() {
		t := sorted.Term{}
		if err := rows.Scan(&t.Collation, &t.Desc); err != nil {
			return built, fmt.Errorf("read index %s: %w", ix.Name, err)
		}
		if len(built.Terms) == len(terms) {
			break
		}
		t.Expr = terms[len(built.Terms)]
		t.Type = s.typeOf(t.Expr, of)
		built.Terms = append(built.Terms, t)
	}
	if err := rows.Err(); err != nil {
		return built, fmt.Errorf("read index %s: %w", ix.Name, err)
	}
	if len(built.Terms) == 0 || len(built.Terms) != len(terms) {
		return built, fmt.Errorf("%w: index %s has a form that is not known", ErrShape, ix.Name)
	}
	return built, nil
}

// resumeLate is describe for a job whose indexes are there, or were.
func (s Indexes) resumeLate(ctx context.Context, q lite.Querier, of lite.Table) error {
	s.sorted = nil
	for i := range s.late {
		built, err := s.sortedIndex(ctx, q, i, of)
		if err != nil {
			return err
		}
		s.sorted = append(s.sorted, built)
	}
	return nil
}

// rowidOf is how the rowid of a table goes.
func rowidOf(t lite.Table) string {
	if alias := t.RowidAlias(); alias != "" {
		return alias
	}
	return lite.Ident(t.Key.Columns[0].Name)
}

// typeOf is a type that keeps the values of a column as they are stored there; "" of an expression.
func (s Indexes) typeOf(expr string, of lite.Table) string {
	toks := scan(expr)
	if len(toks) != 1 || toks[0].name == "" {
		return ""
	}
	c, err := of.Column(toks[0].name)
	if err != nil {
		return ""
	}
	return typeName(c, s.table.strict())
}

// typeName is a type of the affinity of a column.
func typeName(c lite.Column, strict bool) string {
	if strict && strings.EqualFold(c.Decl, "ANY") {
		return ""
	}
	return [...]string{blob: "", text: "TEXT", integer: "INTEGER", real: "REAL", numeric: "NUMERIC"}[affinityOf(c.Decl)]
}

// where is the condition of a partial index, "" of one of all rows.
func (ix index) where() string {
	for _, t := range scan(ix.rest) {
		if t.depth == 0 && t.word == "where" {
			return strings.TrimSpace(ix.rest[t.end:])
		}
	}
	return ""
}

// plain reports whether an index is over columns alone, of all rows.
func (ix index) plain() bool {
	return ix.where() == "" && !slices.ContainsFunc(ix.terms(), func(term string) bool { return len(scan(term)) > 1 })
}

// try refuses an index that the new table cannot have.
func (s Indexes) try(ctx context.Context, q lite.Querier) error {
	if len(s.late) == 0 {
		return nil
	}
	shadow, err := lite.LoadTable(ctx, q, shadowName(s.Table))
	if err != nil {
		return err
	}
	return s.describe(ctx, q, shadow)
}

// Create makes the tables on which the indexes of a rebuild are built.
func (s Indexes) Create(ctx context.Context, q lite.Querier) (back Undo, err error) {
	if len(s.late) == 0 {
		return back, nil
	}
	shadow, err := lite.LoadTable(ctx, q, shadowName(s.Table))
	if err != nil {
		return back, err
	}
	if err := s.describe(ctx, q, shadow); err != nil {
		return back, err
	}
	for _, ix := range s.sorted {
		if err := run(ctx, q, ix.Create()...); err != nil {
			return back, err
		}
		if err := ix.Begin(ctx, q); err != nil {
			return back, err
		}
		back.Repeat = append(back.Repeat, ix.Drain(deleteAtOnce))
		back.Statements = append(back.Statements, ix.Drop()...)
	}
	return back, nil
}

// Load is Create for a job that has been there.
func (s Indexes) Load(ctx context.Context, q lite.Querier) ([]sorted.Index, error) {
	of := s.live
	if !s.Grafts() {
		var err error
		if of, err = lite.LoadTable(ctx, q, shadowName(s.Table)); err != nil {
			return nil, err
		}
	}
	if err := s.resumeLate(ctx, q, of); err != nil {
		return nil, err
	}
	return s.sorted, nil
}

// Attach makes the indexes that are built ones of the shadow.
func (s Indexes) Attach(ctx context.Context, q lite.Querier) error {
	if len(s.late) == 0 {
		return nil
	}
	indexes, err := s.Load(ctx, q)
	if err != nil {
		return err
	}
	for _, ix := range indexes {
		if err := ix.Finish(ctx, q); err != nil {
			return err
		}
	}
	err = lite.EditSchema(ctx, q, func() error {
		for i := range s.late {
			if err := s.graft(ctx, q, s.late[i], shadowName(s.late[i].Name), shadowName(s.Table)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range s.late {
		tables := sorted.Index{Table: sortedName(s.Table, i), Spare: spareName(s.Table, i)}
		if err := run(ctx, q, tables.Drop()...); err != nil {
			return err
		}
	}
	return nil
}

// graft makes an index that is built one of a table, under a name.
func (s Indexes) graft(ctx context.Context, q lite.Querier, ix index, name, table string) error {
	return change(ctx, q, `name = ?1, tbl_name = ?2, sql = ?3, rowid = (SELECT max(rowid) + 1 FROM main.sqlite_schema) WHERE type = 'index' AND name = ?4`,
		name, table, ix.as(name, table), shadowName(ix.Name))
}

// createTwin makes what an index of the live table is built on, and the log.
func (s Indexes) createTwin(ctx context.Context, q lite.Querier) (back Undo, err error) {
	if err := s.describe(ctx, q, s.live); err != nil {
		return back, err
	}
	ix := s.sorted[0]
	triggers, err := watch(s).triggers(ctx, q)
	if err != nil {
		return back, err
	}
	if err := run(ctx, q, slices.Concat(ix.Create(), s.createLog(), triggers)...); err != nil {
		return back, err
	}
	if err := ix.Begin(ctx, q); err != nil {
		return back, err
	}
	back.Repeat = []string{ix.Drain(deleteAtOnce)}
	back.Statements = append(Unwatch(s.Table), "DROP TABLE IF EXISTS "+lite.Main(logName(s.Table)))
	back.Statements = append(back.Statements, ix.Drop()...)
	return back, nil
}

// noted are the columns of the live table that the log has besides the key: those that the index is over. A live
// write leaves behind an entry that no row tells of any more.
func (s *Shape) noted() (columns []lite.Column) {
	if !s.Grafts() {
		return nil
	}
	names := lite.Names(s.late[0].rest)
	for _, c := range s.live.Columns {
		if names[lite.FoldName(c.Name)] {
			columns = append(columns, c)
		}
	}
	return columns
}

// createLog makes the table of keys that live writes have touched.
func (s *Shape) createLog() []string {
	keys := make([]string, len(s.key))
	for i := range s.key {
		keys[i] = keyColumn(i)
	}
	columns := slices.Clone(keys)
	for _, c := range s.noted() {
		column := lite.Ident(c.Name) + " " + typeName(c, s.table.strict())
		if collation := s.table.collation(c.Name); collation != "" {
			column += " COLLATE " + lite.Ident(collation)
		}
		columns = append(columns, column)
	}
	return []string{
		fmt.Sprintf("CREATE TABLE %s (%s INTEGER PRIMARY KEY, %s)", lite.Main(logName(s.Table)), logID, strings.Join(columns, ", ")),
		fmt.Sprintf("CREATE INDEX %s ON %s (%s)", lite.Main(logName(s.Table)+"_key"), lite.Ident(logName(s.Table)), strings.Join(keys, ", ")),
	}
}

// replayEntries brings the entries of the rows of a range of the log in step with the live table. Those
// that the log tells of are put into the index's own table, where they are not there already, and
// deleted from there; then the rows come in as they are now.
func (s Copier) replayEntries(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range) (int, error) {
	built, err := Indexes(s).Load(ctx, q)
	if err != nil {
		return 0, err
	}
	ix := built[0]
	gone := log.SelectStatement(keyColumn(0)+", "+ix.Values(), []string{ix.Where}, nil).Within(ix.Insert(), "")
	_, err = gone.Run(ctx, q, r)
	if lite.Classify(err) == lite.Row {
		err = s.eachGone(ctx, q, log, gone, r)
	}
	if err != nil {
		return 0, err
	}
	keys := log.SelectStatement(keyColumn(0), nil, nil)
	for _, statement := range []lite.Statement{
		keys.Within("DELETE FROM "+lite.Main(ix.Table)+" WHERE "+sorted.ID+" IN (", ")"),
		keys.Within(ix.Insert()+ix.Select(s.live.Key.From(), ix.Rowid)+" AND "+ix.Rowid+" IN (", ")"),
	} {
		if _, err := statement.Run(ctx, q, r); err != nil {
			return 0, err
		}
	}

	wrong, err := keys.Within("SELECT count(*) FROM "+s.live.Key.From()+" WHERE "+ix.Lacks(s.Table)+" AND "+ix.Rowid+" IN (", ")").Int(ctx, q, r)
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%w: %d rows have no entry in the index, although they were written to it", ErrShape, wrong)
	}
	if err != nil {
		return 0, err
	}
	return log.DeleteStatement(nil, nil).Run(ctx, q, r)
}

// eachGone puts the entries in by themselves that the log tells of. A row on which an expression of the index failed
// had none.
func (s Copier) eachGone(ctx context.Context, q lite.Querier, log lite.Key, gone lite.Statement, r lite.Range) error {
	places, err := log.Find(ctx, q, r, "1", nil, r.Rows)
	if err != nil {
		return err
	}
	for _, p := range places {
		if _, err := gone.Run(ctx, q, log.Row(p)); err != nil && lite.Classify(err) != lite.Row {
			return err
		}
	}
	return nil
}

// entered is the condition, on a row of the live table, that the index that is built has its entry.
func (s Copier) entered() string { return "NOT " + s.sorted[0].Lacks(s.Table) }
