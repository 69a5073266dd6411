package images

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Why a row was not put back, as states of its image.
const (
	Gone    = 3 // no row has its key any more
	Changed = 4 // what the job wrote does not stand: somebody else has written the row
	Others  = 5 // somebody else has written other columns of the row
	Refused = 6 // the database would not take the row as it was
	Taken   = 7 // another row has the key of one that was deleted
)

// Reasons are the states that say why, with words for people.
var Reasons = []struct {
	State       int
	Name, Words string
}{
	{Gone, "gone", "no row has its key any more"},
	{Changed, "changed", "somebody else has changed what the job wrote"},
	{Others, "other_columns", "somebody else has changed other columns of the row"},
	{Refused, "refused", "the database did not take it as it was"},
	{Taken, "taken", "another row has its key"},
}

// Undo puts rows back, for one run of the job that does.
type Undo struct {
	decide, put, settle, left lite.Statement
	set                       Set
}

// Undo returns what puts the rows of a table back. key is that of the table of images, over
// whose ranges it goes; rows is that of the table of the rows.
func (s Set) Undo(key, rows lite.Key) *Undo {
	u := &Undo{set: s}
	u.decide = key.UpdateStatement([]lite.Assign{{Column: stateColumn, Expr: s.decision(rows)}}, nil, nil)

	chosen := fmt.Sprintf("%s = %d", stateColumn, ready)
	if s.Delete {
		olds := strings.Join(each(len(s.Columns), oldColumn), ", ")
		u.put = key.JoinStatement(fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", lite.Main(s.Table), strings.Join(quoted(s.Columns), ", "), olds, key.From()), chosen)
	} else {
		set := each(len(s.Columns), func(i int) string { return lite.Ident(s.Columns[i]) + " = " + oldColumn(i) })
		u.put = key.JoinStatement(fmt.Sprintf("UPDATE %s SET %s FROM %s", rows.From(), strings.Join(set, ", "), key.From()), chosen+" AND "+s.at(rows, ""))
	}

	back := fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s AND %s AND %s)", rows.From(), s.at(rows, ""), s.sameKey(), s.holds(oldColumn))
	u.settle = key.DeleteStatement([]string{fmt.Sprintf("%s = %d OR %s AND %s", stateColumn, before, chosen, back)}, nil)
	u.left = key.SelectStatement("count(*)", []string{chosen}, nil)
	return u
}

// decision tells what is to become of an image. A row that is as it was, whoever saw to that,
// needs nothing.
func (s Set) decision(rows lite.Key) string {
	if s.Delete {
		return fmt.Sprintf("coalesce((SELECT CASE WHEN %s THEN %d ELSE %d END FROM %s WHERE %s), %d)",
			s.holds(oldColumn), before, Taken, rows.From(), s.at(rows, ""), ready)
	}
	return fmt.Sprintf("coalesce((SELECT CASE WHEN NOT %s THEN %d WHEN %s THEN %d WHEN %s = %d OR NOT %s THEN %d WHEN %s IS NOT %s THEN %d ELSE %d END "+
		"FROM %s WHERE %s), %d)", s.sameKey(), Gone, s.holds(oldColumn), before, stateColumn, disputed, s.holds(newColumn), Changed,
		hashColumn, s.hash(), Others, ready, rows.From(), s.at(rows, ""), Gone)
}

// Compile refuses a plan that would read the whole table of the rows for each batch.
func (u *Undo) Compile(ctx context.Context, q lite.Querier, key lite.Key) error {
	text, args := u.put.SQL(key.Sample())
	plan, err := lite.Plan(ctx, q, text, args)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(plan[0], "SEARCH ") || !strings.Contains(plan[0], u.set.Images+" ") {
		return fmt.Errorf("%w: SQLite plans %q to put rows of %s back; if its statistics are from a time when the table was small, ANALYZE %[3]s helps",
			lite.ErrScan, plan[0], u.set.Table)
	}
	return nil
}

// Put puts the rows of a range of images back, in the caller's transaction, and drops the
// images of those that are now as they were. It returns how many. It is [lite.ErrUnlike], or
// what the database said, where a row does not come out as it was; nothing may be committed then.
func (u *Undo) Put(ctx context.Context, q lite.Querier, r lite.Range) (done int, err error) {
	if _, err := u.decide.Run(ctx, q, r); err != nil {
		return 0, err
	}
	if _, err := u.put.Run(ctx, q, r); err != nil {
		return 0, err
	}
	if done, err = u.settle.Run(ctx, q, r); err != nil {
		return 0, err
	}
	left, err := u.left.Int(ctx, q, r)
	if err == nil && left > 0 {
		err = fmt.Errorf("%w: %d of %s did not come out as they were; does a trigger change them?", lite.ErrUnlike, left, u.set.Table)
	}
	return done, err
}

// Refuse notes why the row of one image was not put back.
func (s Set) Refuse(ctx context.Context, q lite.Querier, key lite.Key, at lite.Pos, reason string) error {
	_, err := q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s = %d, %s = ? WHERE %s", lite.Main(s.Images), stateColumn, Refused, errorColumn, key.At(at)), reason)
	if err != nil {
		return fmt.Errorf("note that row (%s) was not put back: %w", at, err)
	}
	return nil
}

// Count returns how many images there are of each state.
func (s Set) Count(ctx context.Context, q lite.Querier) (map[int]int64, error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s, count(*) FROM %s GROUP BY 1", stateColumn, lite.Main(s.Images)))
	if err != nil {
		return nil, fmt.Errorf("count the images of %s: %w", s.Table, err)
	}
	defer rows.Close()
	counts := map[int]int64{}
	for rows.Next() {
		var state int
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return nil, fmt.Errorf("count the images of %s: %w", s.Table, err)
		}
		counts[state] = n
	}
	return counts, rows.Err()
}

// Row is one whose image is kept still.
type Row struct {
	Key   lite.Pos
	State int
	Error string
}

// Rows lists the rows of a range of images.
func (s Set) Rows(ctx context.Context, q lite.Querier, key lite.Key, r lite.Range) (list []Row, err error) {
	text, args := key.SelectStatement(fmt.Sprintf("%s, %s, coalesce(%s, '')", key.Literals(), stateColumn, errorColumn), nil, nil).SQL(r)
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("list the images of %s: %w", s.Table, err)
	}
	defer rows.Close()
	for rows.Next() {
		row := Row{Key: make(lite.Pos, len(s.Key))}
		dest := make([]any, 0, len(s.Key)+2)
		for i := range row.Key {
			dest = append(dest, &row.Key[i])
		}
		if err := rows.Scan(append(dest, &row.State, &row.Error)...); err != nil {
			return nil, fmt.Errorf("list the images of %s: %w", s.Table, err)
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// Discard deletes the images of a range; key is that of their table.
func Discard(ctx context.Context, q lite.Querier, key lite.Key, r lite.Range) error {
	_, err := key.DeleteStatement(nil, nil).Run(ctx, q, r)
	return err
}

// Triggers returns the triggers of a table that putting a row back may fire.
func Triggers(ctx context.Context, q lite.Querier, table string) (names []string, err error) {
	rows, err := q.QueryContext(ctx, "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name", table)
	if err != nil {
		return nil, fmt.Errorf("look for triggers of %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("look for triggers of %s: %w", table, err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
