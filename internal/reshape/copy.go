package reshape

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Copier moves rows into the shadow.
type Copier struct{ *Shape }

// Insert is the copy of rows into the shadow. An ON CONFLICT of the table is for the application: a row that the job copies is
// not to be left out without a word.
func (s *Shape) Insert() lite.Insert {
	in := lite.Insert{Into: "INSERT OR ABORT INTO " + lite.Main(shadowName(s.Table))}
	for _, p := range s.copied {
		in.Columns, in.Exprs = append(in.Columns, p.column), append(in.Exprs, p.expr)
	}
	return in
}

// Differs is the condition, on a row of the live table, that the shadow does not hold it as it
// is to be, though no live write is waiting in the log. A column that is copied as it is must
// have the type and the bytes that it had; of another the new column may convert what the
// expression gives.
func (s Copier) Differs() string {
	logged := make([]string, len(s.key))
	for i, name := range s.key {
		logged[i] = inLog(lite.Ident(s.Table)+"."+lite.Ident(name), i)
	}
	held := s.held()
	if s.Grafts() {
		held = s.entered()
	}
	return fmt.Sprintf("CASE WHEN %s THEN 0 ELSE NOT EXISTS (SELECT 1 FROM %s WHERE %s) END",
		held, lite.Main(logName(s.Table)), strings.Join(logged, " AND "))
}

// inLog is the condition that the log has a value of the key. Its columns have no type and no collation, and the
// value must have none either, or SQLite would read the whole log for each row.
func inLog(value string, i int) string { return keyColumn(i) + " = +" + value }

// held is the condition, on a row of the live table, that the shadow holds it as it is to be.
func (s Copier) held() string {
	var is, has []string
	const shadow = "_chunkfill_s"
	for _, p := range s.copied {
		column := lite.Ident(shadow) + "." + lite.Ident(p.column)
		if p.same {
			is, has = append(is, "typeof("+p.expr+")"), append(has, "typeof("+column+")")
		}
		is, has = append(is, "("+p.expr+"\n) COLLATE BINARY"), append(has, column)
	}
	found := make([]string, len(s.key))
	for i, name := range s.key {
		found[i] = lite.Ident(shadow) + "." + lite.Ident(name) + " = " + lite.Ident(s.Table) + "." + lite.Ident(name)
	}
	return fmt.Sprintf("(%s) IS (SELECT %s FROM %s AS %s WHERE %s)",
		strings.Join(is, ", "), strings.Join(has, ", "), lite.Main(shadowName(s.Table)), lite.Ident(shadow), strings.Join(found, " AND "))
}

// Orphaned is the condition, on a row of the shadow, that the live table has no such row, and
// no live write that says so is waiting in the log.
func (s Copier) Orphaned() string {
	const live = "_chunkfill_t"
	found, logged := make([]string, len(s.key)), make([]string, len(s.key))
	for i, name := range s.key {
		row := lite.Ident(shadowName(s.Table)) + "." + lite.Ident(name)
		found[i] = lite.Ident(live) + "." + lite.Ident(name) + " = " + row
		logged[i] = inLog(row, i)
	}
	return fmt.Sprintf("CASE WHEN EXISTS (SELECT 1 FROM %s AS %s WHERE %s) THEN 0 ELSE NOT EXISTS (SELECT 1 FROM %s WHERE %s) END",
		lite.Main(s.Table), live, strings.Join(found, " AND "), lite.Main(logName(s.Table)), strings.Join(logged, " AND "))
}

// Copy copies the rows of a range that meet the conditions of its statement. again says that the
// shadow may have some of them.
//
// A row that a live write has changed since it was copied may stand in the way of another that
// has its unique value now. It is in the log, as any row that has changed, and comes back from there.
func (s Copier) Copy(ctx context.Context, q lite.Querier, insert lite.Statement, conds []string, r lite.Range, again bool) (int, error) {
	if again {
		stale := s.live.Key.SelectStatement(lite.Idents(s.key), conds, nil).Within(s.deleteKeys(), ")")
		if _, err := stale.Run(ctx, q, r); err != nil {
			return 0, err
		}
	}
	n, err := insert.Run(ctx, q, r)
	if lite.IsUnique(err) {
		if err = s.makeWay(ctx, q); err == nil {
			n, err = insert.Run(ctx, q, r)
		}
	}
	if err != nil {
		return 0, err
	}
	return n, s.compute(ctx, q, s.live.Key.SelectStatement(lite.Idents(s.key), conds, nil), r)
}

// deleteKeys deletes the rows of the shadow whose keys a query finds; the query follows, and a
// parenthesis.
func (s Copier) deleteKeys() string {
	return "DELETE FROM " + lite.Main(shadowName(s.Table)) + " WHERE (" + lite.Idents(s.key) + ") IN ("
}

// makeWay deletes the rows of the shadow that the log has, which are to be copied anew.
func (s Copier) makeWay(ctx context.Context, q lite.Querier) error {
	return run(ctx, q, s.deleteKeys()+"SELECT "+s.logged()+" FROM "+lite.Main(logName(s.Table))+")")
}

// logged are the columns of the log that hold a key.
func (s Copier) logged() string {
	keys := make([]string, len(s.key))
	for i := range keys {
		keys[i] = keyColumn(i)
	}
	return strings.Join(keys, ", ")
}

// Replay brings the shadow in step with the live table for the rows of a range of the log, and takes
// that range out of the log.
func (s Copier) Replay(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range) (n int, err error) {
	if s.Grafts() {
		n, err = s.replayEntries(ctx, q, log, r)
	} else {
		n, err = s.replayRows(ctx, q, log, r)
	}
	return n, s.named(ctx, q, log, r, err)
}

func (s Copier) replayRows(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range) (int, error) {
	keys := log.SelectStatement(s.logged(), nil, nil)
	if _, err := keys.Within(s.deleteKeys(), ")").Run(ctx, q, r); err != nil {
		return 0, err
	}

	if err := s.copyLogged(ctx, q, keys, r); err != nil {
		return 0, err
	}
	return log.DeleteStatement(nil, nil).Run(ctx, q, r)
}

// copyLogged copies the rows whose keys a range of the log has, and looks at what has become of
// them.
func (s Copier) copyLogged(ctx context.Context, q lite.Querier, keys lite.Statement, r lite.Range) error {
	in := s.Insert()
	exprs := make([]string, len(in.Exprs))
	for i, e := range in.Exprs {
		exprs[i] = "(" + e + "\n)"
	}
	from := " FROM " + s.live.Key.From() + " WHERE (" + lite.Idents(s.key) + ") IN ("
	insert := keys.Within(in.Into+" ("+lite.Idents(in.Columns)+") SELECT "+strings.Join(exprs, ", ")+from, ")")
	_, err := insert.Run(ctx, q, r)
	if lite.IsUnique(err) {
		if err = s.makeWay(ctx, q); err == nil {
			_, err = insert.Run(ctx, q, r)
		}
	}
	if err != nil {
		return err
	}

	if err := s.compute(ctx, q, keys, r); err != nil {
		return err
	}
	wrong, err := keys.Within("SELECT count(*)"+from, ") AND NOT "+s.held()).Int(ctx, q, r)
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%w: %d rows would not be in the new table as they are now, to the type and the byte; say with Set how they are to be converted", ErrShape, wrong)
	}
	return err
}

// compute evaluates what the later indexes are over, for the rows that have just been copied: where such an
// expression fails on a row, that is now known by its key and can still be left out.
func (s Copier) compute(ctx context.Context, q lite.Querier, keys lite.Statement, r lite.Range) error {
	var all []string
	for _, ix := range s.late {
		if ix.plain() {
			continue
		}
		for _, term := range ix.terms() {
			value := "(" + term + "\n) IS NULL"
			if where := ix.where(); where != "" {
				value = "CASE WHEN (" + where + "\n) THEN " + value + " END"
			}
			all = append(all, "count("+value+")")
		}
	}
	if all == nil {
		return nil
	}
	of := " FROM " + lite.Main(shadowName(s.Table)) + " WHERE (" + lite.Idents(s.key) + ") IN ("
	_, err := keys.Within("SELECT "+strings.Join(all, " + ")+of, ")").Int(ctx, q, r)
	return err
}

// named is the error of a range of the log, with the key of its row where it is one.
func (s Copier) named(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range, err error) error {
	if r.Rows != 1 || lite.Classify(err) != lite.Row {
		return err
	}
	text, args := log.SelectStatement("'(' || "+shortAll(strings.Split(s.logged(), ", "))+" || ')'", nil, nil).SQL(r)
	var key string
	if q.QueryRowContext(ctx, text, args...).Scan(&key) != nil {
		return err
	}
	return &RowError{key, err}
}
