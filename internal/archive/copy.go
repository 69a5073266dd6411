package archive

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Rows says which rows to copy.
type Rows struct {
	Family
	After, Upto lite.Pos
	N           int
	Where       []string
	Args        []any

	// Gone returns how many rows the database says the job has deleted, read over the connection.
	Gone func(ctx context.Context, q lite.Querier) (int64, error)
}

// Copy copies the next rows. What it returns is on the disk, and so is the note of each row. Rows
// noted before that the database still has are taken out.
func (f *File) Copy(ctx context.Context, rows Rows) (*Chunk, error) {
	chunk := newChunk(rows, rows.Upto)
	err := f.tx(ctx, func() error {
		next, err := f.settle(ctx, rows)
		if err != nil {
			return err
		}
		for n := rows.N; ; n /= 2 {
			within, ok, err := rows.Key.Next(ctx, f.conn, rows.After, rows.Upto, n)
			if err != nil || !ok {
				return err
			}
			fits, err := rows.fits(ctx, f.conn, within)
			if err != nil {
				return err
			}
			if fits || n == 1 {
				chunk.End = within.End
				return f.copyRange(ctx, rows, within, next, chunk, fits)
			}
		}
	})
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		chunk.Close()
		return nil, fmt.Errorf("copy rows to the archive %s: %w", f.path, lite.Explain(err))
	}
	return chunk, nil
}

// CopyOne copies one row. The chunk has no other.
func (f *File) CopyOne(ctx context.Context, rows Rows, at lite.Pos) (*Chunk, error) {
	chunk := newChunk(rows, at)
	err := f.tx(ctx, func() error {
		next, err := f.settle(ctx, rows)
		if err != nil {
			return err
		}
		within := rows.Key.Only(at)
		fits, err := rows.fits(ctx, f.conn, within)
		if err != nil {
			return err
		}
		return f.copyRange(ctx, rows, within, next, chunk, fits)
	})
	if err != nil {
		chunk.Close()
		return nil, fmt.Errorf("copy a row to the archive %s: %w", f.path, lite.Explain(err))
	}
	return chunk, nil
}

// copyRange copies the rows of a range, of which too many go with the one that there is unless they fit.
func (f *File) copyRange(ctx context.Context, rows Rows, within lite.Range, next int64, chunk *Chunk, fits bool) error {
	all, err := rows.keys(ctx, f.conn, within)
	if err != nil {
		return err
	}
	found, err := rows.find(ctx, f.conn, f.target, within, !fits)
	if err != nil {
		return err
	}

	// The condition is asked once: it may answer otherwise the next time.
	had := map[string]bool{}
	for _, r := range found {
		had[r.id()] = r.had
		if r.of == 0 {
			chunk.Add(r.key, nil)
		}
	}
	rows.Where, rows.Args = []string{chunk.Includes(rows.Key.Literals())}, nil
	if !fits {
		for _, r := range found {
			chunk.Refuse(r.key, errTooMany)
		}
		chunk.lay(all, nil)
		return nil
	}

	if err := rows.insert(ctx, f.conn, f.target, within); err != nil {
		return err
	}
	copied, err := rows.digests(ctx, f.conn, f.target, within)
	if err != nil {
		return err
	}
	moved, left := chunk.judge(copied, rows.Family, had, f.path)
	for _, r := range left {
		if err := f.remove(ctx, rows.members()[r.of], r.key); err != nil {
			return err
		}
	}
	chunk.lay(all, moved)
	return f.note(ctx, next, moved, rows.Family, had)
}

// judge fills the set of the chunk, and returns the rows that can be moved, and those that were copied and cannot.
func (c *Chunk) judge(copied []row, family Family, had map[string]bool, path string) (moved, left []row) {
	wrong := map[string]error{} // by the key of the row with which others go
	for _, r := range copied {
		if key := r.root.Encode(); string(r.is) != string(r.held) && wrong[key] == nil {
			wrong[key] = refusal(r, family.members()[r.of], path)
		}
	}

	order := map[string]int{} // of the rows of the family's table
	goes := map[string]int{}  // place in moved
	for _, r := range copied {
		root := r.root.Encode()
		if r.of == 0 {
			order[root] = len(order)
			c.Add(r.key, r.whole)
			if wrong[root] != nil {
				c.Refuse(r.key, wrong[root])
			}
		}
		if wrong[root] != nil {
			continue
		}

		at, found := goes[r.id()]
		switch {
		case !found:
			goes[r.id()] = len(moved)
			moved = append(moved, r)
		case order[root] < order[moved[at].root.Encode()]: // it goes with the first of those that it refers to
			moved[at] = r
		}
	}

	for _, r := range copied {
		if _, found := goes[r.id()]; !found && r.held != nil && !had[r.id()] {
			left = append(left, r)
		}
	}
	return moved, left
}

func refusal(r row, m Member, path string) error {
	what := ""
	if r.of > 0 {
		what = fmt.Sprintf("row (%s) of %s goes with it, and ", r.key, m.Name)
	}
	if r.held == nil {
		return fmt.Errorf("%s%s of the archive %s does not take the row: a constraint there refuses it", what, m.Into, path)
	}
	return fmt.Errorf("%s%s of the archive %s has another row of this key, or does not hold this one as it is", what, m.Into, path)
}

func (f *File) remove(ctx context.Context, m Member, key lite.Pos) error {
	_, err := f.conn.ExecContext(ctx, "DELETE FROM "+f.target(m)+" WHERE "+m.Key.At(key))
	return err
}
