package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Change is a change of the schema that is shown.
type Change string

// The changes: one index more, and a table of another shape.
const (
	NewIndex Change = "index"
	NewShape Change = "rebuild"
)

// ShapeJob is the name of the job that makes a change.
const ShapeJob = "obs_observer_ts_idx_v1"

// ShapeConfig describes a demonstration of a change of the schema.
type ShapeConfig struct {
	Change Change
	Rows   int     // at least 100; defaults to dataset.DefaultRows
	Seed   uint64  // of the data
	Live   float64 // inserts per second; a tenth as many updates, and deletes, come with them. Defaults to 200

	Logger   *slog.Logger                                                                    // the engine's; nil is silent
	Step     func(text string)                                                               // called at the start of each step; or nil
	Progress func(done, total int)                                                           // of generating the table, in rows; or nil
	Watch    func(status func() (engine.Status, bool), measured func() string) (stop func()) // as in Config
}

func (c ShapeConfig) withDefaults() ShapeConfig {
	d := Config{Rows: c.Rows, Step: c.Step, Watch: c.Watch}.withDefaults()
	c.Rows, c.Step, c.Watch = d.Rows, d.Step, d.Watch
	if c.Live == 0 {
		c.Live = 200
	}
	return c
}

// shapeDemo is one run.
type shapeDemo struct {
	cfg      ShapeConfig
	pristine string // the generated database, which stays as it is
	copied   string // on which the change is made
	report   ShapeReport
}

// RunShape makes a change of the schema twice, each time on a copy of a database and beside the same live
// writes: in the plain way, in one statement or transaction, and as a job. In the end each row of the
// job's table is compared with what it was, or with what the live writes made of it.
func RunShape(ctx context.Context, cfg ShapeConfig) (ShapeReport, error) {
	if err := (Config{Rows: cfg.Rows, Live: cfg.Live}).Validate(); err != nil {
		return ShapeReport{}, err
	}
	dir, err := os.MkdirTemp("", "chunkfill-demo-")
	if err != nil {
		return ShapeReport{}, fmt.Errorf("make room for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	d := &shapeDemo{cfg: cfg.withDefaults(), pristine: filepath.Join(dir, "demo.db"), copied: filepath.Join(dir, "copy.db")}
	d.report.Change = cfg.Change
	err = d.run(ctx)
	return d.report, err
}

func (d *shapeDemo) step(format string, args ...any) { d.cfg.Step(fmt.Sprintf(format, args...)) }

func (d *shapeDemo) run(ctx context.Context) (err error) {
	d.step("generating %d rows, seed %d", d.cfg.Rows, d.cfg.Seed)
	d.report.Data, err = dataset.Generate(ctx, d.pristine, dataset.Config{Rows: d.cfg.Rows, Seed: d.cfg.Seed, Progress: d.cfg.Progress})
	if err != nil {
		return err
	}
	if err := d.onCopy(ctx, d.plainly); err != nil {
		return fmt.Errorf("the plain way: %w", err)
	}
	return d.onCopy(ctx, d.byJob)
}

// onCopy runs fn on a fresh copy of the database.
func (d *shapeDemo) onCopy(ctx context.Context, fn func(context.Context, *sql.DB) error) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(d.copied + suffix)
	}
	if err := dataset.Copy(d.pristine, d.copied); err != nil {
		return err
	}
	db, err := load.Open(d.copied)
	if err != nil {
		return err
	}
	return errors.Join(fn(ctx, db), db.Close())
}

// plainly makes the change in one piece.
func (d *shapeDemo) plainly(ctx context.Context, db *sql.DB) error {
	d.step("the plain way, beside %v live inserts a second", d.cfg.Live)
	live, err := startWrites(ctx, db, d.cfg)
	if err != nil {
		return err
	}
	began := time.Now()
	err = d.plainChange(ctx, db)
	d.report.Plain = time.Since(began)
	d.report.PlainLive = live.stop()
	return err
}

func (d *shapeDemo) plainChange(ctx context.Context, db *sql.DB) error {
	if d.cfg.Change == NewIndex {
		_, err := db.ExecContext(ctx, createIndex)
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range officialProcedure() {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// byJob makes the change as a job.
func (d *shapeDemo) byJob(ctx context.Context, db *sql.DB) error {
	d.step("the same as a job")
	monitor := sysmon.Start(sysmon.Config{Path: d.copied})
	defer monitor.Stop()
	live, err := startWrites(ctx, db, d.cfg)
	if err != nil {
		return err
	}
	var holds holdLog
	eng, err := engine.New(db, engine.Config{Logger: d.cfg.Logger, SoleProcess: true, OnHold: holds.add})
	if err != nil {
		live.stop()
		return err
	}
	defer eng.Close()

	stop := d.cfg.Watch(
		func() (engine.Status, bool) { return eng.Progress(ShapeJob) },
		func() string { return holds.brief() })
	began := time.Now()
	_, err = eng.Run(ctx, d.job())
	d.report.Total = time.Since(began)
	stop()
	d.report.Live = live.stop()
	seen := monitor.Stop()
	d.report.WALPeak, d.report.RSSPeak, d.report.Hold = seen.WAL, seen.RSS, quantiles(holds.lengths())
	if err != nil {
		return err
	}

	if d.report.Swap, err = swapHold(ctx, db, &holds); err != nil {
		return err
	}
	d.step("comparing each row with what it was")
	return d.check(ctx, db, live.touched)
}

func (d *shapeDemo) job() jobs.Job {
	if d.cfg.Change == NewIndex {
		return jobs.Index{Name: ShapeJob, Table: "observations", Create: createIndex, Twin: true}
	}
	return jobs.Rebuild{Name: ShapeJob, Table: "observations", Schema: newTable}
}

// swapHold is for how long the job held the writer when it exchanged what is old and what is new: the hold
// in which it wrote so into its history.
func swapHold(ctx context.Context, db *sql.DB, holds *holdLog) (time.Duration, error) {
	var at string
	err := db.QueryRowContext(ctx, "SELECT at FROM _async_migration_events WHERE name = ? AND event = 'made' AND detail = 'swap'", ShapeJob).Scan(&at)
	if err != nil {
		return 0, fmt.Errorf("find when the job made the swap: %w", err)
	}
	noted, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return 0, fmt.Errorf("find when the job made the swap: %w", err)
	}
	for _, h := range holds.during(noted.Add(-time.Millisecond), noted.Add(time.Second)) {
		if h.Kind == engine.HoldRecord {
			return h.Held, nil
		}
	}
	return 0, errors.New("the swap was in no hold")
}

// check compares the rows of the job's table with those of the generated one, and those that live writes
// have touched with what these wrote.
func (d *shapeDemo) check(ctx context.Context, db *sql.DB, touched map[int64]any) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.QueryRowContext(ctx, "SELECT group_concat(integrity_check, '; ') FROM pragma_integrity_check").Scan(&d.report.Integrity); err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "ATTACH ? AS was", d.pristine); err != nil {
		return fmt.Errorf("compare the rows: %w", err)
	}
	const columns = "id, transmission_id, observer_idx, direction, snr, rssi, score, path_json, timestamp, raw_hex"
	rows, err := conn.QueryContext(ctx, `SELECT was.id, now.score, now.id IS NULL, EXISTS (SELECT `+columns+` FROM was.observations w WHERE w.id = was.id EXCEPT SELECT `+columns+` FROM main.observations n WHERE n.id = was.id)
		FROM was.observations was LEFT JOIN main.observations now USING (id)`)
	if err != nil {
		return fmt.Errorf("compare the rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var score any
		var gone, differs bool
		if err := rows.Scan(&id, &score, &gone, &differs); err != nil {
			return fmt.Errorf("compare the rows: %w", err)
		}
		want, changed := touched[id]
		right := !gone && !differs
		if changed {
			right = gone && want == nil || !gone && score == want
		}
		if right {
			d.report.Right++
		} else {
			d.report.Wrong++
		}
	}
	return rows.Err()
}

const createIndex = "CREATE INDEX obs_observer_ts_idx_v1 ON observations (observer_idx, timestamp)"

// newTable has a constraint, a default and a type that the table does not have.
const newTable = `CREATE TABLE observations (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	transmission_id INTEGER NOT NULL REFERENCES transmissions(id),
	observer_idx    INTEGER,
	direction       TEXT NOT NULL DEFAULT 'rx',
	snr             REAL,
	rssi            REAL,
	score           INTEGER,
	path_json       TEXT,
	timestamp       INTEGER NOT NULL CHECK (timestamp > 0),
	raw_hex         TEXT
)`

// officialProcedure is that of https://sqlite.org/lang_altertable.html#otheralter: the rows are copied into
// a new table, and its indexes made after that, in one transaction.
func officialProcedure() []string {
	return []string{
		"PRAGMA foreign_keys = OFF",
		"BEGIN IMMEDIATE",
		"CREATE TABLE new_observations" + newTable[len("CREATE TABLE observations"):],
		"INSERT INTO new_observations SELECT * FROM observations",
		"DROP TABLE observations",
		"ALTER TABLE new_observations RENAME TO observations",
		"CREATE INDEX idx_observations_transmission ON observations(transmission_id)",
		"CREATE INDEX idx_observations_observer ON observations(observer_idx)",
		"CREATE INDEX idx_observations_timestamp ON observations(timestamp)",
		"CREATE UNIQUE INDEX idx_observations_dedup ON observations(transmission_id, observer_idx, COALESCE(path_json, ''))",
		"COMMIT",
	}
}
