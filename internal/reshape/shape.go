package reshape

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/sorted"
)

// Wanted is the shape that a table is to have.
type Wanted struct {
	Table  string
	Schema string        // CREATE TABLE, and any CREATE INDEX; or these alone, for the table as it is
	Set    []lite.Assign // columns whose values are not those of the old column of that name

	Queries []string // of the application, whose plans a rehearsal is to find

	// Index says that Schema is one CREATE INDEX, of an index that is not there yet.
	Index bool
	// Twin has the table stay, and get the one index of Schema, which is built on a table that has the
	// columns of the index and no others.
	Twin bool
}

// Names of what the job puts into the schema. There is one rebuild of a table at a time.
func shadowName(table string) string { return "_chunkfill_new_" + table }
func logName(table string) string    { return "_chunkfill_log_" + table }

// OldName is what the table is called after the swap, until its rows are gone.
func OldName(table string) string { return "_chunkfill_old_" + table }

// LogTable is the table of keys that live writes have touched.
func LogTable(table string) string { return logName(table) }

// ShadowTable is the table that gets the rows.
func ShadowTable(table string) string { return shadowName(table) }

var events = []string{"bi", "bu", "ai", "au", "ad"}

func triggerName(table, event string) string { return "_chunkfill_" + event + "_" + table }

// object is a row of sqlite_schema.
type object struct{ kind, name, table, sql string }

// objects lists what belongs to a table, itself first.
func objects(ctx context.Context, q lite.Querier, table string) ([]object, error) {
	rows, err := q.QueryContext(ctx, `SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema
		WHERE tbl_name = ? COLLATE NOCASE ORDER BY type <> 'table', rowid`, table)
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", table, err)
	}
	defer rows.Close()
	var all []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql); err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", table, err)
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// Shape is the table as it is and as it is to be, held against one another.
type Shape struct {
	Wanted
	live    lite.Table
	objects []object // of the live table
	table   table    // as it is to be
	indexes []index  // all that it is to have
	copied  []pair
	key     []string // by which rows are found in both

	late   []index        // those of indexes that are built when the rows are copied
	sorted []sorted.Index // how they are built

	conversions []Conversion
}

// pair is a column of the new table and where its value comes from.
type pair struct {
	column string
	expr   string
	same   bool // it is the column of that name
}

// Load holds a wanted shape against the table as it is now.
func (w Wanted) Load(ctx context.Context, q lite.Querier) (s Shape, err error) {
	s.Wanted = w
	if s.live, err = lite.LoadTable(ctx, q, w.Table); err != nil {
		return s, err
	}
	s.Table = s.live.Name
	if s.objects, err = objects(ctx, q, s.Table); err != nil {
		return s, err
	}
	if err := s.parse(); err != nil {
		return s, err
	}
	s.key = s.live.Key.Names()
	return s, nil
}

// parse reads the statements of the new shape. The indexes of the table stay, but for those
// that are given another definition.
func (s *Shape) parse() error {
	statements := Statements(s.Schema)
	if len(statements) == 0 {
		return fmt.Errorf("%w: there is no CREATE TABLE", ErrShape)
	}
	if _, err := parseIndex(statements[0]); err == nil { // the table is to stay as it is
		statements = append([]string{s.objects[0].sql}, statements...)
	}
	var err error
	if s.table, err = parseTable(statements[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	for _, statement := range statements[1:] {
		ix, err := parseIndex(statement)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrShape, err)
		}
		if !lite.SameName(ix.Table, s.Table) {
			return fmt.Errorf("%w: index %s is one of %s", ErrShape, ix.Name, ix.Table)
		}
		s.indexes = append(s.indexes, ix)
	}
	if s.Index || s.Twin {
		if err := s.newIndex(); err != nil {
			return err
		}
	}
	if s.Twin {
		return s.twin()
	}
	if !lite.SameName(s.table.Name, s.Table) {
		return fmt.Errorf("%w: the new CREATE TABLE is one of %q; write it under the name of the table, %s", ErrShape, s.table.Name, s.Table)
	}

	for _, o := range s.objects {
		given := slices.ContainsFunc(s.indexes, func(ix index) bool { return lite.SameName(ix.Name, o.name) })
		if o.kind != "index" || o.sql == "" || given {
			continue
		}
		ix, err := parseIndex(o.sql)
		if err != nil {
			return err
		}
		ix.Name = o.name
		s.indexes = append(s.indexes, ix)
	}
	return nil
}

// newIndex refuses what is not one index that the table has not.
func (s *Shape) newIndex() error {
	if len(s.indexes) != 1 || !lite.SameName(s.table.Name, s.Table) {
		return fmt.Errorf("%w: an index is made by one CREATE INDEX and nothing else", ErrShape)
	}
	for _, o := range s.objects {
		if lite.SameName(o.name, s.indexes[0].Name) {
			return fmt.Errorf("%w: %s has an index %s already; drop it first, or give the new one another name", ErrShape, s.Table, o.name)
		}
	}
	return nil
}

// twin has the job make the one index and nothing else. The rowids that its entries have must
// be such as VACUUM leaves alone.
func (s *Shape) twin() error {
	if !s.live.Key.Rowid {
		return fmt.Errorf("%w: %s has no INTEGER PRIMARY KEY, by which an index that is built beside it could find its rows; rebuild the table in place of a twin", ErrShape, s.Table)
	}
	if s.Grafts() {
		s.late = s.indexes
	} else {
		s.narrow()
	}
	return nil
}

// narrow has the shadow hold the columns of the one index and no others. Its entries are then, to the
// rowid, those that an index on the table has.
func (s *Shape) narrow() {
	key := s.live.Key.Columns[0].Name
	columns := []string{lite.Ident(key) + " INTEGER PRIMARY KEY"}
	names := lite.Names(s.indexes[0].rest)
	for _, c := range s.live.Columns {
		if !names[lite.FoldName(c.Name)] || lite.SameName(c.Name, key) {
			continue
		}
		column := lite.Ident(c.Name) + " " + c.Decl
		if collation := s.table.collation(c.Name); collation != "" {
			column += " COLLATE " + lite.Ident(collation)
		}
		columns = append(columns, column)
	}
	strict := ""
	if s.table.strict() {
		strict = " STRICT"
	}
	s.table.rest = " (" + strings.Join(columns, ", ") + ")" + strict
}

// Create makes the shadow, the log and the triggers, and returns what undoes that.
func (s *Shape) Create(ctx context.Context, q lite.Querier) (back Undo, err error) {
	if err := s.free(ctx, q); err != nil {
		return back, err
	}
	if s.Grafts() {
		return Indexes{s}.createTwin(ctx, q)
	}
	if err := run(ctx, q, withoutReferences(s.table.as(shadowName(s.Table)))); err != nil {
		return back, fmt.Errorf("%w: %w", ErrShape, lite.Explain(err))
	}
	if err := s.pairs(ctx, q); err != nil {
		return back, err
	}
	if err := (Indexes{s}).try(ctx, q); err != nil {
		return back, err
	}
	for _, ix := range s.indexes {
		if slices.Contains(s.late, ix) {
			continue
		}
		if err := run(ctx, q, ix.as(shadowName(ix.Name), shadowName(s.Table))); err != nil {
			return back, fmt.Errorf("%w: %w", ErrShape, lite.Explain(err))
		}
	}

	triggers, err := watch{s}.triggers(ctx, q)
	if err != nil {
		return back, err
	}
	if err := run(ctx, q, append(s.createLog(), triggers...)...); err != nil {
		return back, err
	}
	return s.undo(), nil
}

// Undo is what takes the shadow, the log and the triggers back.
type Undo struct {
	Repeat     []string // each by itself, until it changes nothing
	Statements []string // then these, together
}

// deleteAtOnce is how many rows of a table that goes are deleted at once. To drop it whole would hold
// the writer for as long as it is large.
const deleteAtOnce = 200

// DeleteSome deletes some rows of a table with a key.
func DeleteSome(table string, key []string) string {
	return fmt.Sprintf("DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s LIMIT %[3]d)", lite.Main(table), lite.Idents(key), deleteAtOnce)
}

// Loose are the texts of the application's views and triggers, views first.
func Loose(ctx context.Context, q lite.Querier) (all []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger') AND name NOT LIKE '\_chunkfill\_%' ESCAPE '\' ORDER BY type = 'trigger', rowid`)
	if err != nil {
		return nil, fmt.Errorf("read the views and triggers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("read the views and triggers: %w", err)
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

func (s *Shape) undo() Undo {
	u := Undo{Repeat: []string{DeleteSome(shadowName(s.Table), s.key)}}
	u.Statements = append(Unwatch(s.Table), "DROP TABLE IF EXISTS "+lite.Main(logName(s.Table)), "DROP TABLE IF EXISTS "+lite.Main(shadowName(s.Table)))
	return u
}

// free refuses names that are taken.
func (s *Shape) free(ctx context.Context, q lite.Querier) error {
	old := OldName(s.Table)
	if s.Twin {
		old = shadowName(s.Table) // no table goes
	}
	var name string
	err := q.QueryRowContext(ctx, `SELECT name FROM main.sqlite_schema WHERE name COLLATE NOCASE IN (?, ?, ?, ?) LIMIT 1`,
		shadowName(s.Table), logName(s.Table), old, sortedName(s.Table, 0)).Scan(&name)
	switch {
	case err == nil:
		wayOut := "cancel or finish that one"
		if lite.SameName(name, OldName(s.Table)) {
			wayOut = "drop it if it was kept, else finish that one"
		}
		return fmt.Errorf("%w: there is a table %s already, of another rebuild; %s", ErrShape, name, wayOut)
	case errors.Is(err, sql.ErrNoRows):
		return nil
	}
	return fmt.Errorf("read the schema: %w", err)
}

// pairs finds where each column of the new table comes from.
func (s *Shape) pairs(ctx context.Context, q lite.Querier) error {
	shadow, err := lite.LoadTable(ctx, q, shadowName(s.Table))
	switch {
	case errors.Is(err, lite.ErrNoKey):
		return s.notFindable()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	if err := s.findable(shadow); err != nil {
		return err
	}

	s.copied, s.conversions = nil, nil
	for _, a := range s.Set {
		if _, err := shadow.Column(a.Column); err != nil {
			return fmt.Errorf("%w: %w: %s (the new %s has %s)", ErrShape, lite.ErrNoColumn, a.Column, s.Table, names(shadow))
		}
	}
	for _, c := range shadow.Columns {
		if c.Generated {
			continue
		}
		given := slices.IndexFunc(s.Set, func(a lite.Assign) bool { return lite.SameName(a.Column, c.Name) })
		_, err := s.live.Column(c.Name)
		switch {
		case given >= 0:
			s.copied = append(s.copied, pair{c.Name, s.Set[given].Expr, false})
		case err == nil:
			s.copied = append(s.copied, pair{c.Name, lite.Ident(c.Name), true})
			if was := s.column(c.Name); affinityOf(was.Decl) != affinityOf(c.Decl) && !(s.table.strict() && lite.SameName(c.Decl, "ANY")) {
				s.conversions = append(s.conversions, Conversion{s.Table, c.Name, was.Decl, c.Decl})
			}
		}
	}
	if alias := s.rowid(shadow); alias != "" { // what goes by it, such as full text, finds its rows
		s.copied = append(s.copied, pair{alias, alias, true})
	}
	return Indexes{s}.part(ctx, q, shadow)
}

// names lists the columns of a table.
func names(t lite.Table) string {
	all := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		all[i] = c.Name
	}
	return strings.Join(all, ", ")
}

// column is one of the live table that is there.
func (s *Shape) column(name string) lite.Column {
	c, _ := s.live.Column(name)
	return c
}

// rowid is a name by which the rowid goes in both tables where it is hidden in both.
func (s *Shape) rowid(shadow lite.Table) string {
	alias := s.live.RowidAlias()
	hidden := func(t lite.Table) bool { return !slices.ContainsFunc(t.Keys, func(k lite.Key) bool { return k.Rowid }) }
	if alias == "" || alias != shadow.RowidAlias() || !hidden(s.live) || !hidden(shadow) {
		return ""
	}
	return alias
}

// findable chooses the key by which a row is found in both tables: the one by which the live table is
// walked, or else another of its UNIQUEs over columns that are NOT NULL. It refuses a shape that leaves none.
func (s *Shape) findable(shadow lite.Table) (err error) {
	for _, k := range s.live.Keys {
		not := s.stays(k, shadow)
		if not == nil {
			s.key = k.Names()
			return nil
		}
		if err == nil {
			err = not
		}
	}
	return err
}

// stays refuses a key of the live table that the new one has not, or not with the same values.
func (s *Shape) stays(k lite.Key, shadow lite.Table) error {
	for _, name := range k.Names() {
		was := s.column(name)
		is, err := shadow.Column(name)
		given := slices.ContainsFunc(s.Set, func(a lite.Assign) bool { return lite.SameName(a.Column, name) })
		switch {
		case err != nil:
			return fmt.Errorf("%w: it has no column %s, which is part of the key by which rows are found while they are copied", ErrShape, name)
		case given, lite.FoldName(was.Decl) != lite.FoldName(is.Decl):
			return fmt.Errorf("%w: column %s is part of the key by which rows are found while they are copied, and must keep its type (%s) and its values; "+
				"or give the table, first, another UNIQUE over columns that are NOT NULL, which stays", ErrShape, name, was.Decl)
		}
	}
	if !slices.ContainsFunc(shadow.Keys, func(o lite.Key) bool { return sameColumns(o, k) }) {
		return s.notFindable()
	}
	return nil
}

func (s *Shape) notFindable() error {
	return fmt.Errorf("%w: it has no PRIMARY KEY or UNIQUE over (%s), by which rows are found while they are copied", ErrShape, strings.Join(s.key, ", "))
}

func sameColumns(a, b lite.Key) bool {
	return slices.EqualFunc(a.Columns, b.Columns, func(x, y lite.KeyColumn) bool {
		return lite.SameName(x.Name, y.Name) && (a.Rowid || b.Rowid || lite.FoldName(x.Collation) == lite.FoldName(y.Collation))
	})
}

const logID = "_chunkfill_id"

// keyColumn is a column of the log. It has no type, so that it keeps a key as it is.
func keyColumn(i int) string { return fmt.Sprintf("_chunkfill_key_%d", i+1) }

// Resume is Create for a job that has been there: it holds the shape against the shadow.
func (s *Shape) Resume(ctx context.Context, q lite.Querier) error {
	if s.Grafts() {
		return Indexes{s}.resumeLate(ctx, q, s.live)
	}
	return s.pairs(ctx, q)
}

// run executes statements one after the other.
func run(ctx context.Context, q lite.Querier, statements ...string) error {
	for _, statement := range statements {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Text is what must stay as it is while the job runs: the live table and its indexes, and all
// that the job has made. The application's triggers may come and go.
func Text(ctx context.Context, q lite.Querier, table string) (string, error) {
	var text string
	err := q.QueryRowContext(ctx, `SELECT coalesce(group_concat(line, char(10)), '') FROM (SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS line FROM main.sqlite_schema
		WHERE tbl_name COLLATE NOCASE = ?1 AND type <> 'trigger' OR name COLLATE NOCASE IN (?2, ?3) OR type = 'trigger' AND name LIKE '\_chunkfill\_%' ESCAPE '\' AND tbl_name COLLATE NOCASE = ?1
		ORDER BY name)`, table, shadowName(table), logName(table)).Scan(&text)
	if err != nil {
		return "", fmt.Errorf("read the schema of %s: %w", table, err)
	}
	return text, nil
}

// Unwatch are the statements after which live writes are no longer noted. The job can then not go on.
func Unwatch(table string) (statements []string) {
	for _, e := range events {
		statements = append(statements, "DROP TRIGGER IF EXISTS "+lite.Main(triggerName(table, e)))
	}
	return statements
}
