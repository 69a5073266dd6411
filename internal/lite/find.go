package lite

import (
	"context"
	"errors"
	"fmt"
)

// Row is [Key.Only] with a rowid as an argument, so that a statement has the same text for
// every row.
func (k Key) Row(p Pos) Range {
	if !k.Rowid {
		return k.Only(p)
	}
	return Range{where: cond{k.order().tuple() + " = ?", []any{integer(p)}}, End: p, Rows: 1}
}

// Find returns the positions of the first n rows of a range that meet a condition, in the
// order of the walk. Rows that no literal leads back to are left out.
func (k Key) Find(ctx context.Context, q Querier, r Range, where string, args []any, n int) ([]Pos, error) {
	text, args := k.SelectStatement(k.Literals(), []string{where}, args).SQL(r)
	found, err := k.positions(ctx, q, fmt.Sprintf("%s ORDER BY %s LIMIT %d", text, k.order().by(false), n), args)
	if err != nil {
		return nil, err
	}

	w, sure := k.walker(q), found[:0]
	for _, p := range found {
		switch err := w.verify(ctx, p); {
		case err == nil:
			sure = append(sure, p)
		case !errors.Is(err, errUnmarked):
			return nil, err
		}
	}
	return sure, nil
}

func (k Key) positions(ctx context.Context, q Querier, text string, args []any) (found []Pos, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p := make(Pos, len(k.Columns))
		dest := make([]any, len(p))
		for i := range p {
			dest[i] = &p[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, rows.Err()
}
