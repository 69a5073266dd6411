package images

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// States of an image.
const (
	doubtful = -1 // as pending, and disputed; never committed
	pending  = 0  // its row has been chosen, and is not yet rewritten; never committed
	stands   = 1  // the job has written what the image says
	disputed = 2  // somebody else wrote the row between two times that the job did
	ready    = 8  // decided on: its row is to be put back; never committed
	before   = 9  // decided on: its row is as it was; never committed
)

// Keeper keeps the images of the rows that a statement changes, for one pass of a job.
type Keeper struct {
	set        Set
	old        lite.Statement
	fresh, all lite.Statement // all: where each row of the range has been chosen
	rest       string
}

// Work is what a job does to its rows.
type Work struct {
	Key   lite.Key // by which it walks
	Conds []string // that choose the rows, in order
	Exprs []string // that stand before Conds and take some of Args
	Args  []any
}

// Keeper returns what keeps the images of a job.
func (s Set) Keeper(w Work) *Keeper {
	rest := disputed
	if s.Delete {
		rest = stands
	}
	by := ""
	if s.Indexed {
		by = " INDEXED BY " + lite.Ident(pendingIndex(s.Images))
	}
	some := "EXISTS (" + s.of(fmt.Sprintf("%s <= %d", stateColumn, pending)) + ")"
	return &Keeper{set: s, old: s.oldValues(w), fresh: s.newValues(w.Key, some), all: s.newValues(w.Key, ""),
		rest: fmt.Sprintf("UPDATE %s%s SET %s = %d WHERE %[3]s <= %[5]d", lite.Main(s.Images), by, stateColumn, rest, pending)}
}

// Chosen is the condition for rows whose images Around has just stored: a job that changes
// these and no others needs not rely on its own condition having the same answer twice. The
// conditions themselves stay in the text, for the sake of the arguments that they take.
func (s Set) Chosen(conds []string) string {
	chosen := "EXISTS (" + s.of(fmt.Sprintf("%s <= %d", stateColumn, pending)) + ")"
	var terms []string
	for _, c := range conds {
		if c != "" {
			terms = append(terms, "("+c+"\n)")
		}
	}
	if len(terms) == 0 {
		return chosen
	}
	return "CASE WHEN 1 THEN " + chosen + " ELSE " + strings.Join(terms, " AND ") + " END"
}

// oldValues stores what the rows of a range hold. A row that the job meets again, in a second
// pass, keeps its first image if it is as the job left it. If somebody else has written all of
// the job's columns since, what they wrote is what it was before; if some of them, nobody can tell.
func (s Set) oldValues(w Work) lite.Statement {
	keys, olds := each(len(s.Key), keyColumn), each(len(s.Columns), oldColumn)
	in := lite.Insert{Into: "INSERT INTO " + lite.Main(s.Images)}
	in.Columns = append(append(append(in.Columns, keys...), olds...), stateColumn)
	in.Exprs = append(append(in.Exprs, quoted(s.Key)...), quoted(s.Columns)...)

	state := fmt.Sprint(pending)
	if len(w.Exprs) > 0 && len(w.Args) > 0 { // their ? come before those of the conditions
		state = "CASE WHEN 1 THEN " + state + " ELSE coalesce(NULL, (" + strings.Join(w.Exprs, "\n), (") + "\n)) END"
	}
	in.Exprs = append(in.Exprs, state)
	in.Tail = s.metAgain(w.Key)
	return w.Key.InsertStatement(in, w.Conds, w.Args)
}

// metAgain is what becomes of an image whose row the job meets again.
func (s Set) metAgain(key lite.Key) string {
	olds := each(len(s.Columns), func(i int) string { return "excluded." + oldColumn(i) })
	if s.Delete { // the latest row of that key is the one that there would be
		set := each(len(s.Columns), func(i int) string { return oldColumn(i) + " = " + olds[i] })
		return s.conflict(append(set, fmt.Sprintf("%s = %d", stateColumn, pending), errorColumn+" = NULL"), "1")
	}

	kept := each(len(s.Columns), func(i int) string { return same(newColumn(i), olds[i]) })
	none := each(len(kept), func(i int) string { return "NOT " + kept[i] })
	sameKey := "1"
	if !s.Rowid {
		sameKey = all(each(len(s.Key), func(i int) string { return same(keyColumn(i), "excluded."+keyColumn(i)) }))
	}
	untouched := fmt.Sprintf("%s IS (SELECT %s FROM %s WHERE %s)", hashColumn, s.hash(), key.From(), s.at(key, "excluded."))
	state := fmt.Sprintf("%s = CASE WHEN %[1]s = %[2]d OR NOT %[3]s THEN %[4]d WHEN %[1]s <> %[5]d THEN %[6]d WHEN %[7]s THEN CASE WHEN %[8]s THEN %[6]d ELSE %[4]d END "+
		"WHEN %[9]s THEN %[6]d ELSE %[4]d END", stateColumn, disputed, sameKey, doubtful, stands, pending, all(kept), untouched, all(none))
	set := each(len(s.Columns), func(i int) string {
		return fmt.Sprintf("%[1]s = CASE WHEN %[2]s = %[3]d OR %[2]s = %[4]d AND NOT %[5]s THEN %[1]s ELSE %[6]s END",
			oldColumn(i), stateColumn, disputed, stands, all(none), olds[i])
	})
	return s.conflict(append(set, state, errorColumn+" = NULL"), "1")
}

// newValues stores what the rows of a range hold after the statement and its triggers.
func (s Set) newValues(key lite.Key, which string) lite.Statement {
	in := lite.Insert{Into: "INSERT INTO " + lite.Main(s.Images)}
	in.Columns = append(append(append(in.Columns, each(len(s.Key), keyColumn)...), each(len(s.Columns), newColumn)...), hashColumn)
	in.Exprs = append(append(append(in.Exprs, quoted(s.Key)...), quoted(s.Columns)...), s.hash())

	set := each(len(s.Columns), func(i int) string { return newColumn(i) + " = excluded." + newColumn(i) })
	set = append(set, hashColumn+" = excluded."+hashColumn,
		fmt.Sprintf("%s = CASE %[1]s WHEN %d THEN %d ELSE %d END", stateColumn, pending, stands, disputed))
	in.Tail = s.conflict(set, fmt.Sprintf("%s <= %d", stateColumn, pending))
	return key.InsertStatement(in, []string{which}, nil)
}

// Around changes the rows of a range and keeps their images, in the caller's transaction.
func (k *Keeper) Around(ctx context.Context, q lite.Querier, r lite.Range, change func() (int, error)) (changed int, err error) {
	if k == nil {
		return change()
	}
	chosen, err := k.old.Run(ctx, q, r)
	if err != nil {
		return 0, fmt.Errorf("keep what the rows are: %w", err)
	}
	if changed, err = change(); err != nil || chosen == 0 {
		return changed, err
	}

	settled := 0
	if !k.set.Delete {
		fresh := k.fresh
		if chosen == r.Rows {
			fresh = k.all
		}
		if settled, err = fresh.Run(ctx, q, r); err != nil {
			return 0, fmt.Errorf("keep what the rows have become: %w", err)
		}
	}
	if settled < chosen { // rows that are deleted, by the job or by a trigger
		_, err = q.ExecContext(ctx, k.rest)
	}
	return changed, err
}
