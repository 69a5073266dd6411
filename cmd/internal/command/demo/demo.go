// Package demo is `chunkfill demo`.
package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

type demoFlags struct {
	db         string
	rows       int
	live       float64
	seed       uint64
	idle       time.Duration
	json       bool
	noLive     bool
	noBaseline bool
}

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Rewrite 1.9 million rows of a live database and show what the live writes felt",
		Long: `Generates a database like that of a packet ingestor (about 480 MB at 1.9 million
rows), then fills path_json from raw_hex in small batches while live inserts go on
through the same connection, and prints what both sides felt. One plain UPDATE is
timed on copies before and after it, to compare: that takes three times the room
(--no-baseline leaves it out). Without --db everything is removed at the end.

With --db the file is kept. Kill the demo and start it again with the same --db:
it goes on where it stopped.`,
		Example: "  chunkfill demo\n  chunkfill demo --rows 50000 --live 500\n  chunkfill demo --db demo.db",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	set := cmd.Flags()
	set.StringVar(&f.db, "db", "", "keep the database in this file, and go on with one that is there")
	set.IntVar(&f.rows, "rows", dataset.DefaultRows, "rows of the table")
	set.Float64Var(&f.live, "live", 200, "live inserts a second")
	set.Uint64Var(&f.seed, "seed", 1, "seed of the data; the same seed gives the same rows")
	set.DurationVar(&f.idle, "idle", 4*time.Second, "how long the live inserts are measured alone first")
	set.BoolVar(&f.json, "json", false, "print the result as JSON")
	set.BoolVar(&f.noLive, "no-live", false, "no live inserts")
	set.BoolVar(&f.noBaseline, "no-baseline", false, "do not time a plain UPDATE on copies")
	return cmd
}

func (f demoFlags) check() error {
	switch {
	case f.rows < 100:
		return exit.Usagef("--rows %d: a demo needs at least 100", f.rows)
	case f.live <= 0:
		return exit.Usagef("--live %v: a rate is positive inserts a second; --no-live turns them off", f.live)
	case f.idle < 0:
		return exit.Usagef("--idle %v is negative", f.idle)
	}
	return nil
}

const demoJob = "observations_path_json_v1"

// demo is one run of it.
type demo struct {
	demoFlags
	show *output.Progress
	path string

	config  dataset.Config
	summary dataset.Summary
	resumed bool
	report  Report
	holds   holdLog
}

func runDemo(ctx context.Context, f demoFlags, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	d := &demo{demoFlags: f, show: output.NewProgress(stderr), path: f.db,
		config: dataset.Config{Rows: f.rows, Seed: f.seed}}
	if f.db == "" {
		dir, err := os.MkdirTemp("", "chunkfill-demo-")
		if err != nil {
			return fmt.Errorf("make room for the demo: %w", err)
		}
		defer os.RemoveAll(dir)
		d.path = filepath.Join(dir, "demo.db")
	}
	if err := d.run(ctx); exit.WasInterrupted(ctx, err) {
		if f.db == "" {
			return exit.Interruption("interrupted; the database of a demo without --db is removed")
		}
		return exit.GoesOn
	} else if err != nil {
		return err
	}
	if err := d.print(stdout); err != nil {
		return err
	}
	if !d.report.ok() {
		return exit.Status(exit.Failed)
	}
	return nil
}

func (d *demo) run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.removeCopy() // of a demo that was killed
	defer d.removeCopy()
	compares := !d.noBaseline && !d.resumed
	if compares {
		if err := d.copy(); err != nil {
			return err
		}
		if err := d.timePlain(ctx); err != nil {
			return err
		}
		if err := d.copy(); err != nil { // for the second time, as the table is now
			return err
		}
	}
	if err := d.sync(); err != nil {
		return err
	}
	db, err := load.Open(d.path)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := d.rewrite(ctx, db); err != nil {
		return err
	}
	if compares {
		if err := d.timePlain(ctx); err != nil {
			return err
		}
	}
	d.say("comparing each row with what it must be")
	d.report.Verdict, err = dataset.Check(ctx, db, d.config)
	return err
}

func (d *demo) say(format string, args ...any) { d.show.Show(fmt.Sprintf(format, args...)) }

// prepare generates the database, or finds the one of an earlier run.
func (d *demo) prepare(ctx context.Context) error {
	if _, err := os.Stat(d.path); err == nil {
		return d.reopen(ctx)
	}
	partial := d.path + ".partial"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		os.Remove(partial + suffix) // of a demo killed while it generated
	}
	began := time.Now()
	config := d.config
	config.Progress = func(done, total int) {
		if d.show.Terminal {
			d.say("generating %d rows, seed %d: %d%%", d.rows, d.seed, 100*done/max(1, total))
		}
	}
	d.say("generating %d rows, seed %d", d.rows, d.seed)
	summary, err := dataset.Generate(ctx, partial, config)
	if err != nil {
		return err
	}
	d.summary = summary
	if err := d.sign(ctx, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, d.path); err != nil {
		return fmt.Errorf("put the database in its place: %w", err)
	}
	d.report.Generate = time.Since(began)
	return nil
}

// sign notes in the file what was generated, so that a later run knows it.
func (d *demo) sign(ctx context.Context, path string) error {
	db, err := load.Open(path)
	if err != nil {
		return err
	}
	text, err := json.Marshal(d.summary)
	if err == nil {
		_, err = db.ExecContext(ctx, "CREATE TABLE chunkfill_demo (summary TEXT)")
	}
	if err == nil {
		_, err = db.ExecContext(ctx, "INSERT INTO chunkfill_demo VALUES (?)", string(text))
	}
	return errors.Join(err, db.Close())
}

func (d *demo) reopen(ctx context.Context) error {
	if err := database.CheckFile(d.path); err != nil {
		return err
	}
	db, err := load.Open(d.path)
	if err != nil {
		return err
	}
	defer db.Close()
	var text string
	if err := db.QueryRowContext(ctx, "SELECT summary FROM chunkfill_demo").Scan(&text); err != nil {
		return exit.Usagef("%s is no database of this demo (%w); name another file", d.path, err)
	}
	if err := json.Unmarshal([]byte(text), &d.summary); err != nil {
		return fmt.Errorf("read the demo's note in %s: %w", d.path, err)
	}
	d.config = dataset.Config{Rows: d.summary.Rows, Seed: d.summary.Seed, Transmissions: d.summary.Transmissions,
		Collisions: d.summary.Collisions, Shape: d.summary.Shape}
	d.rows, d.seed, d.resumed = d.summary.Rows, d.summary.Seed, true
	d.say("going on with %s: %d rows, seed %d", d.path, d.rows, d.seed)
	return nil
}

// timePlain times what chunkfill replaces, on the copy: one UPDATE over the table.
// OR IGNORE lets it pass the rows that break the UNIQUE index. It is done before the
// job and after it, since a shared machine may be a third faster a minute later.
func (d *demo) timePlain(ctx context.Context) error {
	d.say("timing one plain UPDATE on a copy")
	db, err := load.Open(d.copied())
	if err != nil {
		return err
	}
	defer db.Close()
	job := jobs.PathJSON(demoJob, "observations")
	began := time.Now()
	_, err = db.ExecContext(ctx, fmt.Sprintf("UPDATE OR IGNORE observations SET path_json = %s WHERE %s", job.Set[0].Expr, job.Where))
	d.report.Plain = append(d.report.Plain, time.Since(began))
	if err != nil {
		return fmt.Errorf("the plain UPDATE: %w", err)
	}
	return nil
}

func (d *demo) copied() string { return d.path + ".baseline" }

func (d *demo) copy() error { return copyFile(d.path, d.copied()) }

// sync waits until all that was generated and copied is on the disk: writing it back
// must not compete with what is measured next, above all not with the live inserts alone,
// which what comes after is compared with. Nobody has the files open: closing them later
// would drop SQLite's locks.
func (d *demo) sync() error {
	for _, name := range []string{d.path, d.path + "-wal", d.copied()} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("wait for the disk: %w", err)
		}
	}
	return nil
}

func (d *demo) removeCopy() {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(d.copied() + suffix)
	}
}

// copyFile copies a database that nobody has open, and waits until the copy is on
// the disk: its writes must not compete with what is measured next.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return out.Sync()
}

// rewrite runs the job with the live inserts going on.
func (d *demo) rewrite(ctx context.Context, db *sql.DB) error {
	monitor := sysmon.Start(sysmon.Config{Path: d.path})
	defer monitor.Stop()
	live := d.startLive(ctx, db)
	defer live.stop()
	if live.load != nil && !d.resumed {
		d.say("live inserts alone, %v/s for %v", d.live, d.idle)
		live.load.Phase("idle")
		if err := pause(ctx, d.idle); err != nil {
			return err
		}
	}
	eng, err := engine.New(db, engine.Config{Logger: d.show.Logger(), SoleProcess: true, OnHold: d.holds.add})
	if err != nil {
		return err
	}
	defer eng.Close()
	live.phase("during")
	stop := d.show.Follow(func() (string, bool) {
		return output.JobLine(eng, demoJob, func() string { return d.holds.brief() + live.brief() })
	})
	began := time.Now()
	result, err := eng.Run(ctx, jobs.PathJSON(demoJob, "observations"))
	d.report.Total = time.Since(began)
	stop()
	live.phase("after")
	if err != nil {
		return err
	}
	live.stop()
	d.report.fill(d, result, live.phases, monitor.Stop())
	return nil
}

// liveLoad are the live inserts, if there are any.
type liveLoad struct {
	load   *load.Load
	cancel context.CancelFunc
	phases []load.Phase
}

func (d *demo) startLive(ctx context.Context, db *sql.DB) *liveLoad {
	if d.noLive {
		return &liveLoad{}
	}
	ctx, cancel := context.WithCancel(ctx)
	l, err := load.Start(ctx, db, load.Config{Rate: d.live, Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		d.say("no live inserts: %v", err)
		cancel()
		return &liveLoad{}
	}
	return &liveLoad{load: l, cancel: cancel}
}

func (l *liveLoad) phase(name string) {
	if l.load != nil {
		l.load.Phase(name)
	}
}

func (l *liveLoad) brief() string {
	if l.load == nil {
		return ""
	}
	for _, p := range l.load.Snapshot() {
		if p.Name == "during" {
			return fmt.Sprintf("  live p99 %v", output.Round(p.P99))
		}
	}
	return ""
}

// stop ends the inserts and keeps what they measured. It may be called twice.
func (l *liveLoad) stop() {
	if l.load == nil || l.phases != nil {
		return
	}
	l.cancel()
	l.phases = l.load.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// holdLog keeps every hold of the job, some ten thousand of a few words each.
type holdLog struct {
	mu    sync.Mutex
	holds []engine.Hold
}

func (h *holdLog) add(hold engine.Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = append(h.holds, hold)
}

// lengths returns how long the live writes were kept out, each time.
func (h *holdLog) lengths() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []time.Duration
	for _, hold := range h.holds {
		all = append(all, hold.Held)
	}
	return all
}

// brief is the p99 of the latest holds.
func (h *holdLog) brief() string {
	all := h.lengths()
	q := quantiles(all[max(0, len(all)-1000):])
	return fmt.Sprintf("  hold p99 %v", output.Round(q.P99))
}

// during returns the holds that overlap a stretch of time.
func (h *holdLog) during(from, to time.Time) []engine.Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []engine.Hold
	for _, hold := range h.holds {
		if hold.At.After(from) && hold.At.Add(-hold.Held).Before(to) {
			found = append(found, hold)
		}
	}
	return found
}
