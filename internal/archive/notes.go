package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// unsettled is how many rows are noted before the database's log is synced to settle them.
const unsettled = 10_000

// note notes what was copied: each row of the family's table under its number, and with it what goes with it.
func (f *File) note(ctx context.Context, next int64, moved []row, family Family, had map[string]bool) error {
	if len(moved) == 0 {
		return nil
	}
	numbers := map[string]int64{}
	list := make([][4]any, len(moved))
	for i, r := range moved {
		if r.of == 0 {
			numbers[r.key.Encode()] = next + int64(len(numbers))
		}
		list[i] = [4]any{numbers[r.root.Encode()], family.members()[r.of].Into, r.key.Encode(), !had[r.id()]}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = f.conn.ExecContext(ctx, "INSERT INTO "+noteTable+" SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)", f.run, string(text))
	return err
}

// settle takes what the database still has out of the archive, and returns the number of
// the next note.
func (f *File) settle(ctx context.Context, rows Rows) (next int64, err error) {
	gone, err := rows.Gone(ctx, f.conn)
	if err != nil {
		return 0, err
	}
	var settled, last int64
	err = f.conn.QueryRowContext(ctx, "SELECT settled, coalesce((SELECT max(n) FROM "+noteTable+" n WHERE n.run = j.run), settled) FROM "+jobsTable+" j WHERE run = ?",
		f.run).Scan(&settled, &last)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read what was moved: %w", err)
	case gone < settled:
		return 0, f.newer()
	case gone > last:
		return 0, f.older()
	}

	if err := f.takeOut(ctx, rows.Family, gone); err != nil {
		return 0, err
	}
	if gone-settled < unsettled {
		return gone + 1, nil
	}
	return gone + 1, f.settleUpto(ctx, gone)
}

// settleUpto forgets the notes of rows that are gone from the database for good.
func (f *File) settleUpto(ctx context.Context, gone int64) error {
	if err := syncLog(f.main); err != nil {
		return err
	}
	if _, err := f.conn.ExecContext(ctx, "DELETE FROM "+noteTable+" WHERE run = ? AND n <= ?", f.run, gone); err != nil {
		return err
	}
	_, err := f.conn.ExecContext(ctx, "UPDATE "+jobsTable+" SET settled = ? WHERE run = ?", gone, f.run)
	return err
}

// takeOut takes the rows of the notes after one out of the archive: the database has them.
func (f *File) takeOut(ctx context.Context, family Family, after int64) error {
	for _, m := range family.members() {
		keys, err := f.noted(ctx, m, after)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := f.remove(ctx, m, key); err != nil {
				return err
			}
		}
	}
	_, err := f.conn.ExecContext(ctx, "DELETE FROM "+noteTable+" WHERE run = ? AND n > ?", f.run, after)
	return err
}

// noted returns the keys of a member's rows that were put into the archive by notes after one.
func (f *File) noted(ctx context.Context, m Member, after int64) (keys []lite.Pos, err error) {
	found, err := f.conn.QueryContext(ctx, "SELECT key FROM "+noteTable+" WHERE run = ? AND n > ? AND target = ? AND ours", f.run, after, m.Into)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return nil, err
		}
		key, err := m.Key.DecodePos(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, found.Err()
}

// TakeOut takes out of the archive what the database still has, when a run ends.
func (f *File) TakeOut(ctx context.Context, rows Rows) error {
	return f.tx(ctx, func() error {
		_, err := f.settle(ctx, rows)
		return err
	})
}

// End takes out what the database still has, and forgets all notes.
func (f *File) End(ctx context.Context, rows Rows) error {
	err := f.tx(ctx, func() error {
		next, err := f.settle(ctx, rows)
		if err != nil {
			return err
		}
		return f.settleUpto(ctx, next-1)
	})
	if err != nil {
		return fmt.Errorf("end the archive %s: %w", f.path, err)
	}
	return nil
}

// syncLog has all that was committed to the database on the disk: with synchronous=NORMAL a power
// cut may take back the last commits.
func syncLog(main string) error {
	failpoint.Hit("archive settles")
	log, err := os.OpenFile(main+"-wal", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was checkpointed, which syncs
	}
	if err != nil {
		return fmt.Errorf("sync the database's log: %w", err)
	}
	if err := errors.Join(log.Sync(), log.Close()); err != nil {
		return fmt.Errorf("sync the database's log: %w", err)
	}
	return nil
}
