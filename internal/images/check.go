package images

import (
	"context"
	"fmt"
	"slices"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// CheckEffects refuses what a job would do to rows besides its own statement, of which there
// is no image: foreign keys that delete or empty other rows, and constraints that replace rows.
func CheckEffects(ctx context.Context, q lite.Querier, s Set) error {
	if err := checkReplace(ctx, q, s); err != nil {
		return err
	}
	var enforced bool
	if err := q.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&enforced); err != nil || !enforced {
		return err
	}
	return checkReferences(ctx, q, s)
}

// checkReplace refuses a table with a constraint that resolves a conflict by REPLACE.
func checkReplace(ctx context.Context, q lite.Querier, s Set) error {
	var text string
	err := q.QueryRowContext(ctx, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", s.Table).Scan(&text)
	if err != nil {
		return fmt.Errorf("read how %s is declared: %w", s.Table, err)
	}
	if lite.Names(text)["replace"] {
		return fmt.Errorf("%w: a constraint of %s may say ON CONFLICT REPLACE, which deletes rows of which there would be no image; leave KeepBefore out",
			chunkfill.ErrSpec, s.Table)
	}
	return nil
}

// checkReferences refuses a table to which foreign keys refer that delete or empty rows.
func checkReferences(ctx context.Context, q lite.Querier, s Set) error {
	rows, err := q.QueryContext(ctx, `SELECT l.name, f."from", coalesce(f."to", ''), f.on_delete, f.on_update
		FROM pragma_table_list l, pragma_foreign_key_list(l.name, 'main') f
		WHERE l.schema = 'main' AND l.type = 'table' AND f."table" = ? COLLATE NOCASE`, s.Table)
	if err != nil {
		return fmt.Errorf("look who refers to %s: %w", s.Table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, from, to, onDelete, onUpdate string
		if err := rows.Scan(&table, &from, &to, &onDelete, &onUpdate); err != nil {
			return fmt.Errorf("look who refers to %s: %w", s.Table, err)
		}
		action, clause := onUpdate, "ON UPDATE"
		if s.Delete {
			action, clause = onDelete, "ON DELETE"
		}
		loses := action == "SET NULL" || action == "SET DEFAULT" || s.Delete && action == "CASCADE"
		if loses && (s.Delete || has(s.Columns, to)) {
			return fmt.Errorf("%w: %s.%s refers to %s with %s %s, and of the rows that this changes there would be no image; "+
				"leave KeepBefore out, or see to those rows first", chunkfill.ErrSpec, table, from, s.Table, clause, action)
		}
	}
	return rows.Err()
}

func has(columns []string, column string) bool {
	return slices.ContainsFunc(columns, func(name string) bool { return lite.SameName(name, column) })
}
