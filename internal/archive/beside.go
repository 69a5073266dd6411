package archive

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Beside are archives that are tables of the same file: one transaction copies and deletes.
type Beside struct{ Family }

func target(m Member) string { return lite.Main(m.Into) }

// Make makes the tables that are missing, and refuses one that could not hold the rows.
func (b Beside) Make(ctx context.Context, q lite.Querier) error {
	for _, m := range b.members() {
		exists, err := hasTable(ctx, q, "main", m.Into)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		statement, err := create(ctx, q, m.Table, target(m))
		if err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, lite.Explain(err))
		}
	}
	return b.Check(ctx, q)
}

// Check refuses a table that could not hold the rows.
func (b Beside) Check(ctx context.Context, q lite.Querier) error {
	for _, m := range b.members() {
		if err := (held{schema: "main", table: m.Into, where: "table " + m.Into}).check(ctx, q, m.Table); err != nil {
			return err
		}
	}
	return nil
}

// Move moves the rows of a range that meet the conditions, and all that goes with them.
func (b Beside) Move(ctx context.Context, q lite.Querier, within lite.Range, where []string, args []any) (int, error) {
	rows := Rows{Family: b.Family, Where: where, Args: args}
	if fits, err := rows.fits(ctx, q, within); err != nil {
		return 0, err
	} else if !fits {
		return 0, errTooMany
	}
	chosen, n, err := rows.choose(ctx, q, within)
	if err != nil || n == 0 {
		return 0, err
	}
	defer chosen.Close()
	rows.Where, rows.Args = []string{chosen.Includes(b.Key.Literals())}, nil

	if err := rows.insert(ctx, q, target, within); err != nil {
		return 0, err
	}
	copied, err := rows.digests(ctx, q, target, within)
	if err != nil {
		return 0, err
	}
	want, seen := make([]int, 1+len(b.Children)), map[string]bool{}
	for _, r := range copied {
		m := b.members()[r.of]
		if string(r.is) != string(r.held) {
			return 0, rowError(fmt.Sprintf("%s has another row of the key (%s), or does not hold that of %s as it is", m.Into, r.key, m.Name))
		}
		if !seen[r.id()] {
			seen[r.id()] = true
			want[r.of]++
		}
	}
	return want[0], b.remove(ctx, q, within, rows.Where[0], want)
}
