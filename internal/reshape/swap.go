package reshape

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Swap exchanges the two tables, in the caller's transaction, where nothing is left in the log.
// Afterwards the old table has no trigger and no foreign key.
func (s *Shape) Swap(ctx context.Context, q lite.Querier) error {
	// A row without a key is one that nothing here finds.
	if err := s.live.CheckNulls(ctx, q); err != nil {
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	return swap{s}.exchange(ctx, q)
}

// swap exchanges the tables.
type swap struct{ *Shape }

// Drain replays up to most of the first entries of the log, and reports how many these were and
// whether there are more.
func (s *Shape) Drain(ctx context.Context, q lite.Querier, most int) (n int, left bool, err error) {
	log, err := lite.LoadTable(ctx, q, logName(s.Table))
	if err != nil {
		return 0, false, err
	}
	_, last, err := log.Key.Bounds(ctx, q)
	if err != nil || last == nil {
		return 0, false, err
	}
	r, ok, err := log.Key.Next(ctx, q, nil, last, most)
	if err != nil || !ok {
		return 0, false, err
	}
	if _, err := (Copier{s}).Replay(ctx, q, log.Key, r); err != nil {
		return 0, false, Copier{s}.broken(ctx, q, log.Key, r, err)
	}
	return r.Rows, r.End.Encode() != last.Encode(), nil
}

// exchange is the swap itself. Each table takes the other's place in sqlite_schema; what goes by the
// name of the live table, its triggers among it, then goes by the new one. SQLite
// reads the schema in the order of the rows, so a table has to come before what belongs to it.
func (s swap) exchange(ctx context.Context, q lite.Querier) (err error) {
	live, shadow, old := s.Table, shadowName(s.Table), OldName(s.Table)
	if err := run(ctx, q, append(Unwatch(live), "DROP TABLE "+lite.Main(logName(live)))...); err != nil {
		return err
	}
	var place int64
	var sql string
	err = q.QueryRowContext(ctx, `SELECT rowid, sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?`, live).Scan(&place, &sql)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	was, err := parseTable(sql)
	if err != nil {
		return err
	}

	if s.Grafts() {
		if err := s.sorted[0].Finish(ctx, q); err != nil {
			return err
		}
	}
	return lite.EditSchema(ctx, q, func() error {
		if s.Twin {
			return Indexes(s).graft(ctx, q, s.indexes[0], s.indexes[0].Name, live)
		}
		if err := rename(ctx, q, live, old, withoutReferences(was.as(old)), 0); err != nil {
			return err
		}
		if err := rename(ctx, q, shadow, live, s.table.as(live), place); err != nil {
			return err
		}
		if err := s.renumber(ctx, q); err != nil {
			return err
		}
		return s.forgetStatistics(ctx, q)
	})
}

// rename gives a table and its indexes other names, and the table a place in the schema; 0
// for the end.
func rename(ctx context.Context, q lite.Querier, from, to, sql string, place int64) error {
	of, err := objects(ctx, q, from)
	if err != nil {
		return err
	}
	if err := change(ctx, q, `name = ?1, tbl_name = ?1, sql = ?2, rowid = CASE ?3 WHEN 0 THEN (SELECT max(rowid) + 1 FROM main.sqlite_schema) ELSE ?3 END
		WHERE type = 'table' AND name = ?4`, to, sql, place, from); err != nil {
		return err
	}
	for _, o := range of {
		var name string
		var text any
		switch {
		case o.kind != "index":
			continue
		case o.sql == "":
			name = strings.Replace(o.name, "sqlite_autoindex_"+from+"_", "sqlite_autoindex_"+to+"_", 1)
		default:
			ix, err := parseIndex(o.sql)
			if err != nil {
				return err
			}
			if place == 0 {
				name = OldName(o.name)
			} else {
				name = strings.TrimPrefix(o.name, shadowName(""))
			}
			text = ix.as(name, to)
		}
		if err := change(ctx, q, `name = ?1, tbl_name = ?2, sql = ?3, rowid = (SELECT max(rowid) + 1 FROM main.sqlite_schema) WHERE type = 'index' AND name = ?4`,
			name, to, text, o.name); err != nil {
			return err
		}
	}
	return nil
}

// change updates one row of the schema.
func change(ctx context.Context, q lite.Querier, set string, args ...any) error {
	result, err := q.ExecContext(ctx, "UPDATE main.sqlite_schema SET "+set, args...)
	if err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("write the schema: %d rows for %s", n, set))
	}
	return nil
}

// renumber has the new table go on with the numbers of the old one, as AUTOINCREMENT promises.
func (s swap) renumber(ctx context.Context, q lite.Querier) error {
	var there int
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_sequence'").Scan(&there)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if there == 0 {
		return nil
	}

	var latest int64
	shadow := shadowName(s.Table)
	err = q.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name IN (?, ?)", s.Table, shadow).Scan(&latest)
	if err == nil {
		_, err = q.ExecContext(ctx, "DELETE FROM main.sqlite_sequence WHERE name IN (?, ?)", s.Table, shadow)
	}
	if err == nil && latest > 0 && s.table.autoincrement() {
		_, err = q.ExecContext(ctx, "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", s.Table, latest)
	}
	if err != nil {
		return fmt.Errorf("go on with the numbers of %s: %w", s.Table, err)
	}
	return nil
}

// forgetStatistics removes what ANALYZE has noted of the shadow, and of indexes that the table no
// longer has. What it has noted of the table stays: the new one is much like it.
func (s swap) forgetStatistics(ctx context.Context, q lite.Querier) error {
	for _, table := range []string{"sqlite_stat1", "sqlite_stat4"} {
		var there int
		err := q.QueryRowContext(ctx, "SELECT count(*) FROM main.sqlite_schema WHERE name = ?", table).Scan(&there)
		if err == nil && there > 0 {
			_, err = q.ExecContext(ctx, "DELETE FROM main."+table+` WHERE tbl = ?1 COLLATE NOCASE OR tbl = ?2 COLLATE NOCASE AND idx IS NOT NULL AND idx COLLATE NOCASE <> tbl
				AND idx COLLATE NOCASE NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'index')`, shadowName(s.Table), s.Table)
		}
		if err != nil {
			return fmt.Errorf("forget the statistics of what is gone: %w", err)
		}
	}
	return nil
}

// broken replays the entries of a range one by one, after an error, and returns those that fail. The transaction is then
// rolled back.
func (s Copier) broken(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range, cause error) error {
	if lite.Classify(cause) != lite.Row {
		return cause
	}
	places, err := log.Find(ctx, q, r, "1", nil, r.Rows)
	if err != nil {
		return err
	}
	var rows BrokenRows
	for _, p := range places {
		_, err := s.Replay(ctx, q, log, log.Row(p))
		var row *RowError
		switch {
		case errors.As(err, &row):
			known := slices.ContainsFunc(rows, func(other *RowError) bool { return other.Key == row.Key })
			if !known { // it may have been written more than once
				rows = append(rows, row)
			}
		case err != nil:
			return err
		}
	}
	if rows == nil {
		return cause
	}
	return rows
}
