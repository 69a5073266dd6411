package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// newest tells the rows that were there when a job began from those that have come
// since, for a Delete of all rows of a table whose key is not its rowid: keys come in
// any order, but SQLite gives a new row a rowid beyond the greatest one there is. So
// the newest rows stay until all others are gone. As long as one of them is there, all
// that come are beyond it, and all rows below it are old. VACUUM gives out new rowids
// in the old order.
type newest struct {
	alias string        // by which the rowid goes
	rows  []newRow      // from old to new
	keys  *rowfunc.Keys // theirs
	alive int           // the first that is known to be there
	below int64         // the rowid that it had last
}

// newRow is one of the newest rows as the checkpoint has it.
type newRow struct {
	Rowid int64    `json:"rowid"`
	Key   lite.Pos `json:"key"`
}

// keptNewest is how many rows stay: the application would have to delete them all, and
// then insert others, before old could not be told from new.
const keptNewest = 16

// newestMark stands between the bound and the newest rows in a checkpoint.
const newestMark = " newest "

// boundByNewest reports whether a job needs newest to keep its promise.
func (r rewrite) boundByNewest() bool {
	return r.spec.Kind == jobs.KindDelete && r.spec.Where == "" && !r.table.Key.Rowid
}

// checkAll refuses to delete all rows of a table that cannot tell old ones from new.
func (r rewrite) checkAll() error {
	if !r.boundByNewest() || r.table.RowidAlias() != "" {
		return nil
	}
	return fmt.Errorf("%w: %s has no rowids, so rows that come while the job runs cannot be told from those to delete; "+
		`give a Where that new rows do not meet, or the Where "1" to delete those that come, too`, jobs.ErrSpec, r.table.Name)
}

// findNewest lists the newest rows of the table as it is now.
func (r rewrite) findNewest(ctx context.Context, q lite.Querier) ([]newRow, error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s ORDER BY 1 DESC LIMIT %d",
		r.table.RowidAlias(), r.table.Key.Literals(), lite.Main(r.table.Name), keptNewest))
	if err != nil {
		return nil, fmt.Errorf("find the newest rows of %s: %w", r.table.Name, err)
	}
	defer rows.Close()
	var found []newRow
	for rows.Next() {
		n := newRow{Key: make(lite.Pos, len(r.table.Key.Columns))}
		dest := []any{&n.Rowid}
		for i := range n.Key {
			dest = append(dest, &n.Key[i])
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, fmt.Errorf("find the newest rows of %s: %w", r.table.Name, err)
		}
		found = append([]newRow{n}, found...)
	}
	if n := len(found); n > 0 && found[n-1].Rowid == math.MaxInt64 {
		return nil, fmt.Errorf("%w: %s has the greatest rowid there is, after which SQLite gives new rows any that is free; give a Where that new rows do not meet",
			jobs.ErrSpec, r.table.Name)
	}
	return found, rows.Err()
}

// encodeUpper is the bound of a walk as the checkpoint keeps it. One that names the
// newest rows is refused by versions of chunkfill that would pass over them.
func encodeUpper(upper lite.Pos, rows []newRow) string {
	if len(rows) == 0 {
		return upper.Encode()
	}
	text, _ := json.Marshal(rows) // integers and strings always encode
	return upper.Encode() + newestMark + string(text)
}

// decodeUpper reads what encodeUpper wrote.
func (r rewrite) decodeUpper(text string) (upper lite.Pos, n *newest, err error) {
	bound, list, marked := cutBound(text)
	if upper, err = r.table.Key.DecodePos(bound); err != nil || !marked {
		return upper, nil, err
	}
	n = &newest{alias: r.table.RowidAlias()}
	if err := json.Unmarshal([]byte(list), &n.rows); err != nil || len(n.rows) == 0 {
		return nil, nil, fmt.Errorf("%w: %q", lite.ErrBadPos, text)
	}
	keys := make([][]string, len(n.rows))
	for i, row := range n.rows {
		if n.rows[i].Key, err = r.table.Key.DecodePos(row.Key.Encode()); err != nil {
			return nil, nil, err
		}
		keys[i] = n.rows[i].Key
	}
	n.below = n.rows[0].Rowid
	n.keys = rowfunc.OpenKeys(keys)
	return upper, n, nil
}

// cutBound parts a stored bound from the newest rows behind it. The bound is one JSON
// value, whose keys may look like the mark.
func cutBound(text string) (bound, list string, marked bool) {
	var keys json.RawMessage
	decoder := json.NewDecoder(strings.NewReader(text))
	if decoder.Decode(&keys) != nil {
		return text, "", false
	}
	end := decoder.InputOffset()
	list, marked = strings.CutPrefix(text[end:], newestMark)
	if !marked {
		return text, "", false
	}
	return text[:end], list, true
}

// markNewest has a Delete that an earlier version began, which could not tell old rows
// from new, keep at least those that come from here on.
func (r rewrite) markNewest(ctx context.Context, q lite.Querier, upper string) (string, error) {
	if _, _, marked := cutBound(upper); marked || upper == "" || !r.boundByNewest() {
		return upper, nil
	}

	bound, err := r.table.Key.DecodePos(upper)
	if err != nil {
		return upper, nil //nolint:nilerr // whoever adopts it says so
	}
	rows, err := r.findNewest(ctx, q)
	return encodeUpper(bound, rows), err
}

func (n *newest) close() {
	if n != nil {
		n.keys.Close()
	}
}

// conds are the conditions of a pass: first all rows below the newest, then those.
func (n *newest) conds(key lite.Key, pass int) []string {
	if pass == 1 {
		return []string{fmt.Sprintf("%s < %d", n.alias, n.below)}
	}
	return []string{fmt.Sprintf("%s <= %d", n.alias, n.rows[len(n.rows)-1].Rowid), "NOT (" + n.keys.Lacks(key.Literals()) + ")"}
}

// follow finds the first of the newest rows that is still there, and reports whether
// the conditions have changed with it. It is called with the write lock held, before
// each batch of the first pass.
func (n *newest) follow(ctx context.Context, q lite.Querier, t lite.Table) (changed bool, err error) {
	for ; n.alive < len(n.rows); n.alive++ {
		row := n.rows[n.alive]
		rowid, found, err := t.RowidOf(ctx, q, row.Key)
		if err != nil {
			return false, err
		}
		if found && rowid <= row.Rowid { // greater: another row under its key
			changed = changed || rowid != n.below
			n.below = rowid
			return changed, nil
		}
		changed = true
	}
	return false, fmt.Errorf("%w: the %d rows that were the newest when it began have all been deleted or given other keys, so rows to delete can no longer "+
		"be told from those that have come since; what is left is for a job of another name", ErrTableChanged, len(n.rows))
}

// followNewest keeps the statement of the first pass to the rows of newest.
func (w *walker) followNewest(ctx context.Context, q lite.Querier) error {
	if w.newest == nil || w.pass != 1 {
		return nil
	}
	changed, err := w.newest.follow(ctx, q, w.table)
	if changed {
		w.compile()
	}
	return err
}
