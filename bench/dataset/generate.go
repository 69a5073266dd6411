package dataset

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/chunkfill/chunkfill/bench/internal/dsn"
)

const tables = `
CREATE TABLE transmissions (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	hash         TEXT NOT NULL,
	raw_hex      TEXT NOT NULL,
	route_type   INTEGER NOT NULL,
	payload_type INTEGER NOT NULL,
	first_seen   INTEGER NOT NULL
);
CREATE TABLE observations (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	transmission_id INTEGER NOT NULL REFERENCES transmissions(id),
	observer_idx    INTEGER,
	direction       TEXT,
	snr             REAL,
	rssi            REAL,
	score           INTEGER,
	path_json       TEXT,
	timestamp       INTEGER NOT NULL,
	raw_hex         TEXT
);`

// indexes are built after the rows: sorting once is far cheaper than inserting
// each entry where it belongs.
var indexes = []string{
	`CREATE UNIQUE INDEX idx_transmissions_hash ON transmissions(hash)`,
	`CREATE INDEX idx_observations_transmission ON observations(transmission_id)`,
	`CREATE INDEX idx_observations_observer ON observations(observer_idx)`,
	`CREATE INDEX idx_observations_timestamp ON observations(timestamp)`,
	`CREATE UNIQUE INDEX idx_observations_dedup ON observations(transmission_id, observer_idx, COALESCE(path_json, ''))`,
}

// indexCost says for Progress that an index takes as long as inserting one in
// indexCost of the rows (measured).
const indexCost = 8

// Generate writes the database that cfg describes to path, in WAL mode, and describes its
// contents. It fails with ErrExists if there is a file. After any other error, including
// the end of ctx, nothing is left behind. While Generate runs, the file is not safe against
// a crash; memory does not grow with the table.
func Generate(ctx context.Context, path string, cfg Config) (Summary, error) {
	if err := cfg.Validate(); err != nil {
		return Summary{}, err
	}
	switch _, err := os.Lstat(path); {
	case err == nil:
		return Summary{}, fmt.Errorf("generate %s: %w", path, ErrExists)
	case !errors.Is(err, fs.ErrNotExist):
		return Summary{}, fmt.Errorf("generate: %w", err)
	}
	summary, err := generate(ctx, path, cfg.withDefaults())
	if err != nil {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			os.Remove(path + suffix)
		}
		return Summary{}, fmt.Errorf("generate %s: %w", path, err)
	}
	return summary, nil
}

func generate(ctx context.Context, path string, cfg Config) (Summary, error) {
	db, err := dsn.Open(path)
	if err != nil {
		return Summary{}, err
	}
	g := generator{db: db, model: newModel(cfg), summary: Summary{Config: cfg}}
	if err := errors.Join(g.write(ctx), db.Close()); err != nil {
		return Summary{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Summary{}, err
	}
	g.summary.Bytes = info.Size()
	return g.summary, nil
}

type generator struct {
	db      *sql.DB
	model   *model
	summary Summary
}

// write fills the file without a journal: a failed run is discarded as a whole. The page
// cache keeps its size: a larger one is not faster, and index builds, which sort as much in
// memory, made the process four times as large.
func (g *generator) write(ctx context.Context) error {
	const fast = `PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
		PRAGMA locking_mode = EXCLUSIVE;`
	for _, statement := range []string{fast, tables, "BEGIN"} {
		if _, err := g.db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := g.transmissions(ctx); err != nil {
		return fmt.Errorf("insert transmissions: %w", err)
	}
	if err := g.observations(ctx); err != nil {
		return fmt.Errorf("insert observations: %w", err)
	}
	if err := g.index(ctx); err != nil {
		return fmt.Errorf("build indexes: %w", err)
	}
	const end = `COMMIT; PRAGMA locking_mode = NORMAL; PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;`
	_, err := g.db.ExecContext(ctx, end)
	return err
}

func (g *generator) transmissions(ctx context.Context) error {
	in, err := newInserter(ctx, g.db, "transmissions", "id", "hash", "raw_hex", "route_type", "payload_type", "first_seen")
	if err != nil {
		return err
	}
	cfg := g.model.cfg
	for t := range cfg.Transmissions {
		g.model.transmit(t)
		p := g.model.packet
		hash := fmt.Sprintf("%016X", mix(cfg.Seed^mix(uint64(t)+1)))
		seen := epoch + g.model.firstSlot(t)*secondsApart
		if err := in.add(ctx, int64(t)+1, hash, p.Hex(), int64(p.Route), int64(p.Type), int64(seen)); err != nil {
			return err
		}
	}
	return in.close(ctx)
}

func (g *generator) observations(ctx context.Context) error {
	in, err := newInserter(ctx, g.db, "observations", "id", "transmission_id", "observer_idx", "direction",
		"snr", "rssi", "score", "path_json", "timestamp", "raw_hex")
	if err != nil {
		return err
	}
	rows := g.model.cfg.Rows
	for i := range rows {
		row := g.model.row(i)
		g.summary.count(row)
		err := in.add(ctx, row.ID, row.Transmission, int64(row.Observer), row.Direction, row.SNR, row.RSSI,
			int64(row.Score), bind(row.PathJSON), row.Timestamp, bind(row.RawHex))
		if err != nil {
			return err
		}
		if i%(rows/100+1) == 0 {
			g.progress(i)
		}
	}
	g.progress(rows)
	return in.close(ctx)
}

func (g *generator) index(ctx context.Context) error {
	rows := g.model.cfg.Rows
	for i, statement := range indexes {
		if _, err := g.db.ExecContext(ctx, statement); err != nil {
			return err
		}
		g.progress(rows + (i+1)*rows/indexCost)
	}
	return nil
}

func (g *generator) progress(done int) {
	rows := g.model.cfg.Rows
	if g.model.cfg.Progress != nil {
		g.model.cfg.Progress(done, rows+len(indexes)*rows/indexCost)
	}
}

func bind(s sql.NullString) any {
	if !s.Valid {
		return nil
	}
	return s.String
}

// batchRows is the number of rows per INSERT, which halves the time per row. More rows gain
// nothing.
const batchRows = 64

// inserter gathers rows into multi-row INSERT statements.
type inserter struct {
	db      *sql.DB
	head    string
	columns int
	full    *sql.Stmt
	args    []any
}

func newInserter(ctx context.Context, db *sql.DB, table string, columns ...string) (*inserter, error) {
	in := &inserter{
		db: db, columns: len(columns),
		head: "INSERT INTO " + table + "(" + strings.Join(columns, ", ") + ") VALUES ",
		args: make([]any, 0, batchRows*len(columns)),
	}
	var err error
	in.full, err = db.PrepareContext(ctx, in.statement(batchRows))
	return in, err
}

func (in *inserter) statement(rows int) string {
	row := "(" + strings.Repeat("?, ", in.columns-1) + "?)"
	return in.head + strings.Repeat(row+", ", rows-1) + row
}

func (in *inserter) add(ctx context.Context, values ...any) error {
	in.args = append(in.args, values...)
	if len(in.args) < batchRows*in.columns {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := in.full.Exec(in.args...) // a context here costs a goroutine a statement
	in.args = in.args[:0]
	return err
}

// close inserts what is left over.
func (in *inserter) close(ctx context.Context) error {
	var err error
	if len(in.args) > 0 {
		_, err = in.db.ExecContext(ctx, in.statement(len(in.args)/in.columns), in.args...)
	}
	return errors.Join(err, in.full.Close())
}
