package archive

import (
	"context"
	"errors"
	"slices"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// ErrStale is returned where rows have changed since they were copied: nothing of the batch may stand, and
// they are to be copied again.
var ErrStale = errors.New("the copy of a row is stale")

// Delete deletes the rows of a range that are in the chunk, and all that goes with them, in the transaction of q. It returns
// how many rows of the family's table these were. Each is, with all that refers to it, as it was copied.
func (c *Chunk) Delete(ctx context.Context, q lite.Querier, f Family, within lite.Range, where []string, args []any) (int, error) {
	from, begins := c.place(within.After)
	to, ends := c.place(within.End)
	if !begins || !ends {
		return 0, ErrStale
	}
	same := append(slices.Clone(where), c.Has(f.whole(), f.Key.Literals()))
	if len(f.Children) == 0 {
		return c.deleteRows(ctx, q, f, within, same, args, c.between(0, from, to))
	}

	n, err := f.Key.SelectStatement("count(*)", same, args).Int(ctx, q, within)
	if err != nil {
		return 0, err
	}
	if int(n) != c.between(0, from, to) {
		return 0, ErrStale
	}
	want := make([]int, len(c.moved))
	for member := range want {
		want[member] = c.between(member, from, to)
	}
	return want[0], f.remove(ctx, q, within, c.Includes(f.Key.Literals()), want)
}

// deleteRows deletes rows with which no others go.
func (c *Chunk) deleteRows(ctx context.Context, q lite.Querier, f Family, within lite.Range, same []string, args []any, want int) (int, error) {
	n, err := f.Key.DeleteStatement(same, args).Run(ctx, q, within)
	if err != nil || n == want {
		return n, err
	}
	kept, err := f.Key.SelectStatement("count(*)", same, args).Int(ctx, q, within)
	switch {
	case err != nil:
		return 0, err
	case kept > 0:
		return 0, keptRow(f.Member)
	}
	return 0, ErrStale
}

func keptRow(m Member) error {
	return rowError("a row of " + m.Name + " was not deleted, or others were with it; does a trigger keep it, or delete or add rows?")
}

// remove deletes the rows of a range that meet a condition, after all that goes with them, so that no
// action of a foreign key finds anything to do. want says how many rows of each member these are; nil where it does not matter.
func (f Family) remove(ctx context.Context, q lite.Querier, within lite.Range, chosen string, want []int) error {
	for i, child := range f.Children {
		deleted := 0
		for _, p := range child.paths {
			n, err := f.removal(child, p, chosen).Run(ctx, q, within)
			if err != nil {
				return err
			}
			deleted += n
		}
		if want != nil && deleted != want[i+1] {
			return keptRow(child.Member)
		}
	}
	n, err := f.Key.DeleteStatement(append([]string{chosen}, f.childless(f.Member)...), nil).Run(ctx, q, within)
	if err == nil && want != nil && n != want[0] {
		err = keptRow(f.Member)
	}
	return err
}

// Try deletes the rows of a range that meet the conditions, and all that goes with them, where that is rolled back.
func (r Rows) Try(ctx context.Context, q lite.Querier, within lite.Range) (int, error) {
	chosen, n, err := r.choose(ctx, q, within)
	if err != nil || n == 0 {
		return 0, err
	}
	defer chosen.Close()
	return n, r.remove(ctx, q, within, chosen.Includes(r.Key.Literals()), nil)
}

// removal deletes the rows at the end of a path.
func (f Family) removal(child Child, p path, chosen string) lite.Statement {
	keys := make([]string, len(child.Key.Columns))
	for i, c := range child.Key.Columns {
		keys[i] = p.last() + "." + lite.Ident(c.Name)
	}
	conds := ""
	for _, cond := range f.childless(child.Member) {
		conds += " AND " + cond
	}
	return p.hanging(f, comma(keys), []string{chosen}, nil).Within(
		"DELETE FROM "+child.Key.From()+" WHERE "+child.Key.Tuple()+" IN (", ")"+conds)
}
