package archive

import (
	"context"
	"fmt"
	"slices"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Beside is an archive that is a table of the same file: one transaction copies and deletes.
type Beside struct {
	Table lite.Table // whose rows they are
	Into  string
}

// Make makes the table where it is missing, and refuses one that could not hold the rows.
func (b Beside) Make(ctx context.Context, q lite.Querier) error {
	var exists bool
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = ? COLLATE NOCASE)", b.Into).Scan(&exists)
	if err != nil {
		return err
	}
	if !exists {
		statement, err := create(ctx, q, b.Table, lite.Main(b.Into))
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
	return held{schema: "main", table: b.Into, where: "table " + b.Into}.check(ctx, q, b.Table)
}

// Move moves the rows of a range that meet the conditions.
func (b Beside) Move(ctx context.Context, q lite.Querier, r lite.Range, where []string, args []any) (int, error) {
	t := b.Table
	meant, err := t.Key.SelectStatement("count(*)", where, args).Int(ctx, q, r)
	if err != nil || meant == 0 {
		return 0, err
	}

	columns := lite.Idents(names(t))
	insert := t.Key.SelectStatement(columns, append(slices.Clone(where), "NOT EXISTS (SELECT 1 "+b.same()+")"), args)
	if _, err := insert.Within("INSERT INTO "+lite.Main(b.Into)+" ("+columns+") ", "").Run(ctx, q, r); err != nil {
		return 0, err
	}
	held := make([]string, len(t.Columns))
	for i, name := range Columns(t) {
		held[i] = "a." + name
	}
	is := fmt.Sprintf("%s = (SELECT %s %s)", Hash(t), rowfunc.Hash(held), b.same())
	n, err := t.Key.DeleteStatement(append(slices.Clone(where), is), args).Run(ctx, q, r)
	if err == nil && int64(n) != meant {
		err = fmt.Errorf("%w: %s has another row of this key, or does not hold this one as it is", lite.ErrUnlike, b.Into)
	}
	return n, err
}

// same is the row of the archive that has the key of the row.
func (b Beside) same() string { return "FROM " + lite.Main(b.Into) + " AS a WHERE " + sameKey(b.Table) }
