package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Rows says which rows to copy.
type Rows struct {
	Table       lite.Table
	After, Upto lite.Pos
	N           int
	Where       []string
	Args        []any

	// Gone returns how many rows the database says the job has deleted, read over the connection.
	Gone func(ctx context.Context, q lite.Querier) (int64, error)
}

// Chunk is a range of rows as they were when those to be moved were copied.
type Chunk struct {
	*rowfunc.Copies
	End lite.Pos

	after  lite.Pos
	places map[string]int // of each row, by its position
	moved  []int          // how many of the rows up to a place were copied
}

// Place returns where a position is in the chunk, false if it is not that of one of its rows.
func (c *Chunk) Place(p lite.Pos) (int, bool) {
	switch p.Encode() {
	case c.after.Encode():
		return 0, true
	case c.End.Encode():
		return len(c.moved), true
	}
	at, ok := c.places[p.Encode()]
	return at, ok
}

// Between returns how many rows after one place and up to another were copied.
func (c *Chunk) Between(from, to int) int { return c.upto(to) - c.upto(from) }

func (c *Chunk) upto(place int) int {
	if place == 0 {
		return 0
	}
	return c.moved[place-1]
}

// unsettled is how many notes are kept before the database's log is synced to settle them.
const unsettled = 10_000

// Copy copies the next rows. What it returns is on the disk, and so is the note of each row. Rows
// noted before that the database still has are taken out.
func (f *File) Copy(ctx context.Context, rows Rows) (*Chunk, error) {
	chunk := &Chunk{Copies: rowfunc.OpenCopies(), End: rows.Upto, after: rows.After, places: map[string]int{}}
	err := f.tx(ctx, func() error {
		next, err := f.settle(ctx, rows)
		if err != nil {
			return err
		}
		within, ok, err := rows.Table.Key.Next(ctx, f.conn, rows.After, rows.Upto, rows.N)
		if err != nil || !ok {
			return err
		}
		chunk.End = within.End
		return f.copyRange(ctx, rows, within, next, chunk)
	})
	if err == nil {
		err = filelock.Check(f.path, f.id)
	}
	if err != nil {
		chunk.Close()
		return nil, fmt.Errorf("copy rows to the archive %s: %w", f.path, lite.Explain(err))
	}
	return chunk, nil
}

// CopyOne copies one row. The chunk has no other.
func (f *File) CopyOne(ctx context.Context, rows Rows, at lite.Pos) (*Chunk, error) {
	chunk := &Chunk{Copies: rowfunc.OpenCopies(), End: at, places: map[string]int{}}
	err := f.tx(ctx, func() error {
		next, err := f.settle(ctx, rows)
		if err != nil {
			return err
		}
		return f.copyRange(ctx, rows, rows.Table.Key.Only(at), next, chunk)
	})
	if err != nil {
		chunk.Close()
		return nil, fmt.Errorf("copy a row to the archive %s: %w", f.path, lite.Explain(err))
	}
	return chunk, nil
}

// row is one of those that meet the conditions.
type row struct {
	key      lite.Pos
	is, held []byte // digests of what the row is, and of what the archive has under its key
	ours     bool
}

// copyRange copies the rows of a range.
func (f *File) copyRange(ctx context.Context, rows Rows, within lite.Range, next int64, chunk *Chunk) error {
	all, err := f.read(ctx, rows.Table.Key.SelectStatement(rows.Table.Key.Literals()+", NULL, NULL", nil, nil), within, rows.Table)
	if err != nil {
		return err
	}
	chosen, err := f.chosen(ctx, rows, within)
	if err != nil {
		return err
	}
	chosen, err = f.insert(ctx, rows, within, chosen)
	if err != nil {
		return err
	}

	moved := map[string]bool{}
	var notes []row
	for _, r := range chosen {
		if string(r.is) != string(r.held) {
			chunk.Refuse(r.key, r.refusal(f))
			continue
		}
		chunk.Add(r.key, r.is)
		moved[r.key.Encode()] = true
		notes = append(notes, r)
	}
	count := 0
	for i, r := range all {
		key := r.key.Encode()
		if moved[key] {
			count++
		}
		chunk.places[key] = i + 1
		chunk.moved = append(chunk.moved, count)
	}
	return f.note(ctx, next, notes)
}

func (r row) refusal(f *File) error {
	if r.held == nil {
		return fmt.Errorf("%s of the archive %s does not take the row: a constraint there refuses it", f.table, f.path)
	}
	return fmt.Errorf("%s of the archive %s has another row of this key, or does not hold this one as it is", f.table, f.path)
}

// chosen reads the rows that meet the conditions, and what the archive has of each.
func (f *File) chosen(ctx context.Context, rows Rows, within lite.Range) ([]row, error) {
	t := rows.Table
	held := make([]string, len(t.Columns))
	for i, name := range Columns(t) {
		held[i] = "a." + name
	}
	columns := fmt.Sprintf("%s, %s, (SELECT %s FROM %s AS a WHERE %s)", t.Key.Literals(), Hash(t), rowfunc.Hash(held), f.target(), sameKey(t))
	return f.read(ctx, t.Key.SelectStatement(columns, rows.Where, rows.Args), within, t)
}

// read reads rows in the order of the walk.
func (f *File) read(ctx context.Context, s lite.Statement, within lite.Range, t lite.Table) (list []row, err error) {
	text, args := s.Within("", " ORDER BY "+t.Key.Order()).SQL(within)
	found, err := f.conn.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		r := row{key: make(lite.Pos, len(t.Key.Columns))}
		dest := make([]any, 0, len(r.key)+2)
		for i := range r.key {
			dest = append(dest, &r.key[i])
		}
		if err := found.Scan(append(dest, &r.is, &r.held)...); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, found.Err()
}

// insert copies the rows of which the archive has none, and reads them back.
func (f *File) insert(ctx context.Context, rows Rows, within lite.Range, chosen []row) ([]row, error) {
	missing := map[string]bool{}
	for _, r := range chosen {
		if r.held == nil {
			missing[r.key.Encode()] = true
		}
	}
	if len(missing) == 0 {
		return chosen, nil
	}
	columns := strings.Join(Columns(rows.Table), ", ")
	copies := rows.Table.Key.SelectStatement(columns, append(rows.Where[:len(rows.Where):len(rows.Where)],
		"NOT EXISTS (SELECT 1 FROM "+f.target()+" AS a WHERE "+sameKey(rows.Table)+")"), rows.Args)
	if _, err := copies.Within("INSERT OR IGNORE INTO "+f.target()+" ("+columns+") ", "").Run(ctx, f.conn, within); err != nil {
		return nil, err
	}

	chosen, err := f.chosen(ctx, rows, within)
	for i, r := range chosen {
		chosen[i].ours = missing[r.key.Encode()] && r.held != nil
		if err == nil && chosen[i].ours && string(r.is) != string(r.held) {
			err = f.remove(ctx, rows.Table, r.key)
		}
	}
	return chosen, err
}

func (f *File) remove(ctx context.Context, t lite.Table, key lite.Pos) error {
	_, err := f.conn.ExecContext(ctx, "DELETE FROM "+f.target()+" WHERE "+t.Key.At(key))
	return err
}

// note notes what was copied.
func (f *File) note(ctx context.Context, next int64, notes []row) error {
	if len(notes) == 0 {
		return nil
	}
	list := make([][2]any, len(notes))
	for i, r := range notes {
		list[i] = [2]any{r.key.Encode(), r.ours}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = f.conn.ExecContext(ctx, "INSERT INTO "+noteTable+" SELECT ?, ? + key, value ->> 0, value ->> 1 FROM json_each(?)", f.run, next, string(text))
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

	if err := f.takeOut(ctx, rows.Table, gone); err != nil {
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
func (f *File) takeOut(ctx context.Context, t lite.Table, after int64) error {
	found, err := f.conn.QueryContext(ctx, "SELECT key FROM "+noteTable+" WHERE run = ? AND n > ? AND ours", f.run, after)
	if err != nil {
		return err
	}
	defer found.Close()
	var keys []lite.Pos
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return err
		}
		key, err := t.Key.DecodePos(text)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return err
	}
	for _, key := range keys {
		if err := f.remove(ctx, t, key); err != nil {
			return err
		}
	}
	_, err = f.conn.ExecContext(ctx, "DELETE FROM "+noteTable+" WHERE run = ? AND n > ?", f.run, after)
	return err
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
