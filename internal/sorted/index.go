package sorted

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// Term is what an index is sorted by.
type Term struct {
	Expr      string // over a row of the table
	Type      string // as a column is declared that holds it; "" for one that changes no value
	Collation string
	Desc      bool
}

// Index is an index that is built on a table of its own.
type Index struct {
	Name  string // of the index, and
	Table string // of its own table, for as long as it is built, and
	Spare string // of an empty one, with whose b-tree that one changes its own

	Of    string // the table whose rows it is of
	Rowid string // by which the rowid goes there, quoted
	Terms []Term
	Where string // "" for all rows
}

// ID is the column of an index's own table that has the rowid of the row.
const ID = "_chunkfill_id"

// An entry that is of no row stands in each index while it is built: REINDEX, which makes the index anew from
// the rows of its table, takes it away with all the others whose rows are not there.
const canary = math.MinInt64

// Another one has its row in the index's own table: where that is empty, VACUUM copies no entry of its indexes.
const anchor = canary + 1

// ofRows is the condition for an entry that is of a row.
var ofRows = fmt.Sprintf("%s NOT IN (%d, %d)", ID, int64(canary), int64(anchor))

// column is that of a term in the index's own table.
func column(i int) string { return fmt.Sprintf("_chunkfill_%d", i+1) }

// each lists something of each term.
func (ix Index) each(of func(i int, t Term) string) string {
	all := make([]string, len(ix.Terms))
	for i, t := range ix.Terms {
		all[i] = of(i, t)
	}
	return strings.Join(all, ", ")
}

// columns are those of the index's own table, without the rowid.
func (ix Index) columns() string { return ix.each(func(i int, _ Term) string { return column(i) }) }

// Values are the terms, of a row of the table.
func (ix Index) Values() string {
	return ix.each(func(_ int, t Term) string { return "(" + t.Expr + "\n)" })
}

// order is that of the entries.
func (ix Index) order(reverse bool) string {
	by := func(desc bool) string {
		if desc != reverse {
			return " DESC"
		}
		return ""
	}
	return ix.each(func(i int, t Term) string { return column(i) + " COLLATE " + lite.Ident(t.Collation) + by(t.Desc) }) + ", " + ID + by(false)
}

// Create makes the index, and the table that it is built on.
func (ix Index) Create() []string {
	columns := ix.each(func(i int, t Term) string { return strings.TrimSpace(column(i) + " " + t.Type) })
	terms := ix.each(func(i int, t Term) string {
		desc := ""
		if t.Desc {
			desc = " DESC"
		}
		return column(i) + " COLLATE " + lite.Ident(t.Collation) + desc
	})
	return []string{
		fmt.Sprintf("CREATE TABLE %s (%s INTEGER PRIMARY KEY, %s)", lite.Main(ix.Table), ID, columns),
		fmt.Sprintf("CREATE INDEX %s ON %s (%s)", lite.Main(ix.Name), lite.Ident(ix.Table), terms),
		fmt.Sprintf("CREATE TABLE %s (%s, %s)", lite.Main(ix.Spare), ID, columns),
		fmt.Sprintf("CREATE TRIGGER %s AFTER INSERT ON %s BEGIN %sVALUES (NEW.%s, %s); DELETE FROM %s WHERE %[4]s = NEW.%[4]s; DELETE FROM %[2]s; END",
			lite.Main(ix.Spare+"_drain"), lite.Ident(ix.Spare), ix.insertInto(lite.Ident(ix.Table)), ID, ix.each(func(i int, _ Term) string { return "NEW." + column(i) }), lite.Ident(ix.Table)),
	}
}

// Begin has an index that is made anew hold the one entry by which it is known whether it is whole.
func (ix Index) Begin(ctx context.Context, q lite.Querier) error {
	if _, err := q.ExecContext(ctx, fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (?)", lite.Main(ix.Table), ID), int64(canary)); err != nil {
		return fmt.Errorf("write the index %s: %w", ix.Name, err)
	}
	return ix.turn(ctx, q)
}

// Finish takes that entry out again, in the transaction in which the index is made one of another table. It
// returns chunkfill.ErrTableChanged where it is not there any more.
func (ix Index) Finish(ctx context.Context, q lite.Querier) error {
	var there, taken bool
	query := fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE %s AND %s = ?1), EXISTS (SELECT 1 FROM %s WHERE %s IN (?1, ?2))",
		ix.Entries(), strings.ReplaceAll(ix.each(func(i int, _ Term) string { return column(i) + " IS NULL" }), ", ", " AND "), ID, ix.from(), ix.Rowid)
	if err := q.QueryRowContext(ctx, query, int64(canary), int64(anchor)).Scan(&there, &taken); err != nil {
		return fmt.Errorf("look at the index %s: %w", ix.Name, err)
	}
	switch {
	case taken:
		return fmt.Errorf("%s has a row %d or %d, and no index can be built on it beside live writes", ix.Of, int64(canary), int64(anchor))
	case !there:
		return fmt.Errorf("%w: REINDEX has undone what was built of the index %s; cancel the job, and begin a new one under another name", chunkfill.ErrTableChanged, ix.Name)
	}
	for _, statement := range []string{
		fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (?), (?)", lite.Main(ix.Table), ID),
		fmt.Sprintf("DELETE FROM %s WHERE %s IN (?, ?)", lite.Main(ix.Table), ID),
	} {
		if _, err := q.ExecContext(ctx, statement, int64(canary), int64(anchor)); err != nil {
			return fmt.Errorf("write the index %s: %w", ix.Name, err)
		}
	}
	return nil
}

// Drain takes the first entries out of the index, which has no other way to get smaller: their rows are not
// in its table. It is to be repeated until it changes nothing. A row that comes into the spare table
// is put into the index's own and deleted there again, and with it goes its entry.
func (ix Index) Drain(n int) string {
	return fmt.Sprintf("INSERT INTO %s (%s, %s) SELECT %[2]s, %[3]s FROM %s LIMIT %d", lite.Main(ix.Spare), ID, ix.columns(), ix.Entries(), n)
}

// Drop removes the tables, and the index if it still belongs there.
func (ix Index) Drop() []string {
	return []string{"DROP TABLE IF EXISTS " + lite.Main(ix.Table), "DROP TABLE IF EXISTS " + lite.Main(ix.Spare)}
}

// Entries is what to read the entries of the index from, without their table: it has only the latest.
func (ix Index) Entries() string { return lite.Main(ix.Table) + " INDEXED BY " + lite.Ident(ix.Name) }

// Insert is the head of an INSERT of entries, up to its SELECT or VALUES.
func (ix Index) Insert() string { return ix.insertInto(lite.Main(ix.Table)) }

func (ix Index) insertInto(table string) string {
	return fmt.Sprintf("INSERT OR REPLACE INTO %s (%s, %s) ", table, ID, ix.columns())
}

// Select is the SELECT of the entries of rows that another table has, with the columns of Of that the index
// is over, and their rowid under a name: a condition may follow, after AND.
func (ix Index) Select(from, rowid string) string {
	where := ix.Where
	if where == "" {
		where = "1"
	}
	return fmt.Sprintf("SELECT %s, %s FROM %s WHERE (%s\n)", rowid, ix.Values(), from, where)
}

// Lacks is the condition, on a row of Of, that the index has no entry for it, or another one
// than to the type and the byte that of its values. name is how Of goes in the query.
func (ix Index) Lacks(name string) string {
	const entry = "_chunkfill_e"
	var same []string
	for i, t := range ix.Terms {
		value := "(" + t.Expr + "\n)"
		held := entry + "." + column(i)
		same = append(same, fmt.Sprintf("%s COLLATE %s IS %s", held, lite.Ident(t.Collation), value),
			fmt.Sprintf("typeof(%s) = typeof(%s) AND %[1]s COLLATE BINARY IS %s", held, value, value))
	}
	lacks := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s AS %s INDEXED BY %s WHERE %s AND %s.%s = %s.%s)",
		lite.Main(ix.Table), entry, lite.Ident(ix.Name), strings.Join(same, " AND "), entry, ID, lite.Ident(name), ix.Rowid)
	if ix.Where == "" {
		return lacks
	}
	return "CASE WHEN (" + ix.Where + "\n) THEN " + lacks + " ELSE 0 END"
}

// Count is how many entries the index has. (A count(*) alone would be that of the table, whatever INDEXED BY says.)
func (ix Index) Count(ctx context.Context, q lite.Querier) (n int64, err error) {
	if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(%s IS NULL) FROM %s WHERE %s", column(0), ix.Entries(), ofRows)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the entries of %s: %w", ix.Name, err)
	}
	return n, nil
}

// entry is one of an index: the rowid, and the terms.
type entry []any

// last is the last entry that the index has, nil where it has none.
func (ix Index) last(ctx context.Context, q lite.Querier) (entry, error) {
	e, dest := ix.scanned()
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s ORDER BY %s LIMIT 1", ID, ix.columns(), ix.Entries(), ofRows, ix.order(true))).Scan(dest...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find the last entry of %s: %w", ix.Name, err)
	}
	return e.bindable(), nil
}

// bindable is an entry that a statement can be given: a driver reads an empty BLOB as one that it would write
// as NULL.
func (e entry) bindable() entry {
	for i, v := range e {
		if b, ok := v.([]byte); ok && b == nil {
			e[i] = []byte{}
		}
	}
	return e
}

func (ix Index) scanned() (entry, []any) {
	e := make(entry, len(ix.Terms)+1)
	dest := make([]any, len(e))
	for i := range e {
		dest[i] = &e[i]
	}
	return e, dest
}

// behind is the condition for what comes after an entry in the order of the index.
func (ix Index) behind(last entry) (cond string, args []any) {
	var any []string
	equal := ""
	for i, t := range ix.Terms {
		name, value := column(i)+" COLLATE "+lite.Ident(t.Collation), last[i+1]
		beyond := name + " > ?"
		switch {
		case value == nil && t.Desc:
			beyond = "0 AND ? IS NULL"
		case value == nil:
			beyond = column(i) + " IS NOT NULL AND ? IS NULL"
		case t.Desc:
			beyond = "(" + name + " < ? OR " + column(i) + " IS NULL)"
		}
		any = append(any, "("+equal+beyond+")")
		args = append(append(args, last[1:i+1]...), value)
		equal += name + " IS ? AND "
	}
	any = append(any, "("+equal+ID+" > ?)")
	args = append(append(args, last[1:]...), last[0])
	return strings.Join(any, " OR "), args
}

// turn has the index's own table change its b-tree for that of the spare table, and deletes what
// is there then. The caller is in a transaction.
func (ix Index) turn(ctx context.Context, q lite.Querier) error {
	err := lite.EditSchema(ctx, q, func() error {
		result, err := q.ExecContext(ctx, `UPDATE main.sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM main.sqlite_schema WHERE type = 'table' AND name IN (?1, ?2)) - rootpage
			WHERE type = 'table' AND name IN (?1, ?2)`, ix.Table, ix.Spare)
		if err != nil {
			return fmt.Errorf("write the schema: %w", err)
		}
		n, err := result.RowsAffected()
		if err == nil && n != 2 {
			err = fmt.Errorf("write the schema: %d tables of %s and %s are there", n, ix.Table, ix.Spare)
		}
		return err
	})
	if err == nil {
		_, err = q.ExecContext(ctx, "DELETE FROM "+lite.Main(ix.Spare))
	}
	if err == nil {
		_, err = q.ExecContext(ctx, fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (?)", lite.Main(ix.Table), ID), int64(anchor))
	}
	return err
}
