package reshape

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Keep has a table go, and keeps its rows under the name that OldName gives it, as a swap leaves an old table: its
// indexes have such names, too, and it has no trigger and no foreign key. With these it would refuse, or
// answer, the writes of an application that knows nothing of it any more. A table without a row is dropped.
func Keep(ctx context.Context, q lite.Querier, table string) error {
	all, err := objects(ctx, q, table)
	if err != nil {
		return err
	}
	if len(all) == 0 || all[0].kind != "table" {
		return fmt.Errorf("there is no table %s", table)
	}
	was := all[0]

	var some bool
	if err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+lite.Main(was.name)+")").Scan(&some); err != nil {
		return fmt.Errorf("look for rows of %s: %w", was.name, err)
	}
	if !some {
		return run(ctx, q, "DROP TABLE "+lite.Main(was.name))
	}
	if taken, err := Taken(ctx, q, was.name); err != nil || taken != "" {
		return fmt.Errorf("%w: there is %s already, which an earlier change has kept", ErrShape, taken)
	}

	text, err := parseTable(was.sql)
	if err != nil { // a virtual table looks after its own
		return run(ctx, q, "ALTER TABLE "+lite.Main(was.name)+" RENAME TO "+lite.Ident(OldName(was.name)))
	}
	for _, o := range all {
		if o.kind != "trigger" {
			continue
		}
		if err := run(ctx, q, "DROP TRIGGER "+lite.Main(o.name)); err != nil {
			return err
		}
	}
	return lite.EditSchema(ctx, q, func() error {
		old := OldName(was.name)
		if err := rename(ctx, q, was.name, old, withoutReferences(text.as(old)), 0); err != nil {
			return err
		}
		return forget(ctx, q, was.name)
	})
}

// Taken is a name that a table, or one of its indexes, would be kept under and that something else has; "" if there is none.
func Taken(ctx context.Context, q lite.Querier, table string) (name string, err error) {
	all, err := texts(ctx, q, `SELECT coalesce(min(taken.name), '') FROM main.sqlite_schema o JOIN main.sqlite_schema taken
		ON taken.name = ? || o.name COLLATE NOCASE WHERE o.tbl_name = ? COLLATE NOCASE AND o.type IN ('table', 'index')`, OldName(""), table)
	if err != nil {
		return "", fmt.Errorf("read the schema of %s: %w", table, err)
	}
	return all[0], nil
}

// forget has a table give up its statistics and, for the name that it has now, its numbers.
func forget(ctx context.Context, q lite.Querier, table string) error {
	for name, statement := range map[string]string{
		"sqlite_sequence": "UPDATE main.sqlite_sequence SET name = ?2 WHERE name = ?1",
		"sqlite_stat1":    "DELETE FROM main.sqlite_stat1 WHERE tbl = ?1 COLLATE NOCASE",
		"sqlite_stat4":    "DELETE FROM main.sqlite_stat4 WHERE tbl = ?1 COLLATE NOCASE",
	} {
		there, err := texts(ctx, q, "SELECT name FROM main.sqlite_schema WHERE name = ?", name)
		if err == nil && len(there) > 0 {
			_, err = q.ExecContext(ctx, statement, table, OldName(table))
		}
		if err != nil {
			return fmt.Errorf("forget what %s has of %s: %w", name, table, err)
		}
	}
	return nil
}
