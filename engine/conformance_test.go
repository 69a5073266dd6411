package engine

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/stopfile"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestConformance: SQLite does what the loop asks of a database, as the one in memory does
// on which the loop is tested. Planted and caught: one row more than the limit quarantined,
// quarantined rows counted as left, a second pass over rows that are done, a request read for
// another run, an error after the commit of a record told as its own.
func TestConformance(t *testing.T) {
	set := []jobs.Assign{{Column: "n", Expr: "n + 1"}}
	for name, job := range map[string]jobs.Job{
		"update": jobs.Update{Name: "job", Table: "t", Set: set, Todo: "n = 0"},
		"transform": jobs.Transform{Name: "job", Table: "t", Read: []string{"n"}, Write: []string{"n"}, Todo: "n = 0",
			Row: func(read []any) ([]any, error) { return []any{read[0].(int64) + 1}, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			looptest.Test(t, func(t testing.TB, keys ...int64) looptest.Fixture { return newFixture(t, job, keys) })
		})
	}
}

// TestConformanceOfSteps: so does it for a job that changes the schema. Planted and caught:
// a takeback that is kept once it is made; the
// ranges of what is taken back kept; no look at what is asked.
func TestConformanceOfSteps(t *testing.T) {
	looptest.TestSteps(t, func(t testing.TB, keys ...int64) looptest.Fixture { return newFixture(t, twoTables{}, keys) })
}

// twoTables is a job that makes a table, fills it with a row for each of t, and makes another.
type twoTables struct{}

func (twoTables) Spec() jobs.Spec { return jobs.Spec{Name: "job", Table: "t"} }

func (twoTables) program() *program {
	create := func(name string, statements ...string) step {
		return step{Step: chunkfill.Step{Name: name, Kind: chunkfill.Once}, once: func(ctx context.Context, c lite.Querier) (made, error) {
			for _, statement := range statements {
				if _, err := c.ExecContext(ctx, statement); err != nil {
					return made{}, err
				}
			}
			return made{back: []string{"DROP TABLE IF EXISTS main." + name}}, nil
		}}
	}
	return &program{definition: "two tables", steps: []step{
		create("made", "CREATE TABLE main.made (id INTEGER PRIMARY KEY, times INT NOT NULL)",
			`CREATE TRIGGER main.made_bad BEFORE INSERT ON made WHEN (SELECT bad FROM t WHERE id = new.id) BEGIN SELECT RAISE(ABORT, 'bad'); END`),
		{Step: chunkfill.Step{Name: "fill", Kind: chunkfill.Walk},
			rows:   jobs.Spec{Table: "t", Todo: "NOT EXISTS (SELECT 1 FROM made WHERE made.id = t.id)"},
			insert: &lite.Insert{Into: "INSERT INTO main.made", Columns: []string{"id", "times"}, Exprs: []string{"id", "1"}}},
		{Step: chunkfill.Step{Name: "look", Kind: chunkfill.Verify, Of: "fill"}},
		create("other", "CREATE TABLE main.other (x)"),
	}}
}

// schema reads what of twoTables stands, and the ranges that do not.
func (f *fixture) schema(t testing.TB, state *looptest.State) {
	t.Helper()
	for _, name := range []string{"made", "other"} {
		var there bool
		f.scan(t, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '"+name+"')", &there)
		if there {
			state.Schema = append(state.Schema, name)
		}
	}
	for i, row := range state.Rows {
		if slices.Contains(state.Schema, "made") {
			f.scan(t, fmt.Sprintf("SELECT coalesce((SELECT times FROM made WHERE id = %d), 0)", row.Key), &state.Rows[i].Done)
		}
	}

	var steps string
	f.scan(t, "SELECT coalesce(group_concat(step), '') FROM _async_migration_ranges", &steps)
	for _, step := range strings.Split(steps, ",") {
		if step != "" && step != state.Record.Of {
			state.Ranges = merged(state.Ranges, map[string]chunkfill.RangeRecord{step: {Of: step}})
		}
	}
}

func (f *fixture) scan(t testing.TB, query string, to any) {
	t.Helper()
	if err := f.other.QueryRowContext(context.Background(), query).Scan(to); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// fixture is a file with a table, and what can be made to fail in it.
type fixture struct {
	job    jobs.Job
	path   string
	db     *sql.DB // the host's one connection
	other  *sql.DB // those of another process
	engine *Engine
	panics atomic.Bool // OnHold does
}

// The job fails on bad rows. The faults are named in a table, and make the statement that
// writes a row, the record or an event fail, or find no room, or the commit fail.
var conformanceSchema = []string{
	"CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, bad INT NOT NULL DEFAULT 0)",
	"CREATE TABLE faults (name TEXT)",
	"CREATE TABLE ballast (b BLOB)",
	"CREATE TABLE orphans (parent INT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)",
	`CREATE TRIGGER bad BEFORE UPDATE OF n ON t WHEN old.bad OR EXISTS (SELECT 1 FROM faults WHERE name = 'row')
		BEGIN SELECT RAISE(ABORT, 'bad'); END`,
	`CREATE TRIGGER at_commit AFTER UPDATE OF n ON t WHEN EXISTS (SELECT 1 FROM faults WHERE name = 'at commit')
		BEGIN INSERT INTO orphans VALUES (-1); END`,
	filler("rows_full", "UPDATE OF n ON t"),
	filler("record_full", "UPDATE ON _async_migration_ranges"),
	filler("events_full", "INSERT ON _async_migration_events"),
	breaker("record_breaks", "UPDATE ON _async_migration_ranges"),
	breaker("events_break", "INSERT ON _async_migration_events"),
}

func filler(name, on string) string {
	return "CREATE TRIGGER " + name + " AFTER " + on + " WHEN EXISTS (SELECT 1 FROM faults WHERE name = '" + name +
		"') BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END"
}

func breaker(name, on string) string {
	return "CREATE TRIGGER " + name + " AFTER " + on + " WHEN EXISTS (SELECT 1 FROM faults WHERE name = '" + name +
		"') BEGIN SELECT RAISE(ABORT, 'broken'); END"
}

func newFixture(t testing.TB, job jobs.Job, keys []int64) *fixture {
	t.Helper()
	f := &fixture{job: job, path: filepath.Join(t.TempDir(), "test.db")}
	f.db, f.other = f.open(t), f.open(t)
	if err := record.UpgradeTx(context.Background(), f.db); err != nil {
		t.Fatal(err)
	}
	for _, statement := range conformanceSchema {
		f.exec(t, f.db, statement)
	}
	for _, key := range keys {
		f.Insert(t, key)
	}
	f.State(t) // the other process has the file open, whatever becomes of its name

	var err error
	f.engine, err = New(f.db, Config{SoleProcess: true, Actor: "test", OnHold: func(Hold) {
		if f.panics.Load() {
			panic("injected")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+f.path+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=foreign_keys(on)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func (f *fixture) exec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Open begins a run of the job.
func (f *fixture) Open(t testing.TB) loop.Database {
	t.Helper()
	p, err := f.engine.prepare(context.Background(), f.job)
	if err != nil {
		t.Fatal(err)
	}
	s := f.engine.newSession(p)
	t.Cleanup(func() {
		s.End()
		s.close()
		if err := s.writer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// State reads on the connection of another process.
func (f *fixture) State(t testing.TB) (state looptest.State) {
	t.Helper()
	ctx := context.Background()
	rows, err := f.other.QueryContext(ctx, "SELECT id, n, bad FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r looptest.Row
		if err := rows.Scan(&r.Key, &r.Done, &r.Bad); err != nil {
			t.Fatal(err)
		}
		state.Rows = append(state.Rows, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}

	list, err := checkpoint.List(ctx, f.other)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) > 0 {
		state.Known, state.Record = true, list[0]
	}
	if state.Events, err = checkpoint.Events(ctx, f.other, "job", 1000); err != nil {
		t.Fatal(err)
	}
	if state.Quarantine, err = checkpoint.Quarantine(ctx, f.other, "job"); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.job.(twoTables); ok {
		f.schema(t, &state)
	}
	return state
}

func (f *fixture) Ask(t testing.TB, r checkpoint.Request) {
	t.Helper()
	if err := record.Ask(context.Background(), f.db, "job", r.Control, r.By, r.Reason); err != nil {
		t.Fatal(err)
	}
	if err := record.Tune(context.Background(), f.db, "job", r.Tuning); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) AskAll(t testing.TB, r checkpoint.Request) {
	t.Helper()
	ctx := context.Background()
	err := record.UpgradeTx(ctx, f.db)
	if err == nil && r.Control == chunkfill.NoControl {
		_, err = record.DropRequest(ctx, f.db, "", record.RequestPause)
	} else if err == nil {
		err = record.PutRequest(ctx, f.db, record.Pending{Request: string(r.Control), By: r.By, Reason: r.Reason, At: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) Stop(t testing.TB, on bool) {
	t.Helper()
	name := stopfile.Name(f.path)
	err := os.Remove(name)
	if os.IsNotExist(err) {
		err = nil
	}
	if on {
		err = os.WriteFile(name, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) Insert(t testing.TB, key int64) {
	f.exec(t, f.db, "INSERT INTO t (id) VALUES (?)", key)
}

func (f *fixture) Delete(t testing.TB, keys ...int64) {
	for _, key := range keys {
		f.exec(t, f.db, "DELETE FROM t WHERE id = ?", key)
	}
}

func (f *fixture) Spoil(t testing.TB, bad bool, keys ...int64) {
	for _, key := range keys {
		f.exec(t, f.db, "UPDATE t SET bad = ? WHERE id = ?", bad, key)
	}
}

// Inject makes a verb fail as far as SQLite, or the file system, can be made to from
// without.
func (f *fixture) Inject(t testing.TB, fault looptest.Fault) (lift func(), ok bool) {
	writes := slices.Contains([]looptest.Verb{looptest.Take, looptest.Save, looptest.Hold, looptest.Once, looptest.TakeBack}, fault.Verb)
	switch {
	case writes && fault.When == looptest.AtOnce && fault.Class == loop.Busy:
		f.exec(t, f.other, "BEGIN IMMEDIATE")
		return func() { f.exec(t, f.other, "ROLLBACK") }, true
	case writes && fault.When == looptest.AfterCommit && fault.Class == loop.Other:
		f.panics.Store(true)
		return func() { f.panics.Store(false) }, true
	case fault == looptest.Fault{Verb: looptest.Sound, When: looptest.AtOnce, Class: loop.Gone}:
		f.rename(t, f.path, f.path+".moved")
		return func() { f.rename(t, f.path+".moved", f.path) }, true
	case fault.Class == loop.Lost:
		return f.rob(t, fault)
	case fault.Class == loop.Other && (fault.Verb == looptest.Left || fault.Verb == looptest.Prepare):
		f.exec(t, f.db, "INSERT INTO _async_migration_quarantine (name, step, key, error, at) VALUES ('job', 'walk', 'no key', '', '2026-01-01T00:00:00.000Z')")
		return func() { f.exec(t, f.db, "DELETE FROM _async_migration_quarantine WHERE key = 'no key'") }, true
	}

	name := trouble(fault)
	if name == "" {
		return nil, false
	}
	f.exec(t, f.db, "INSERT INTO faults VALUES (?)", name)
	if fault.Class == loop.Full {
		f.exec(t, f.db, "PRAGMA max_page_count = 100")
	}
	return func() {
		f.exec(t, f.db, "PRAGMA max_page_count = 1000000")
		f.exec(t, f.db, "DELETE FROM faults")
	}, true
}

// trouble is the fault that a trigger knows, "" for none.
func trouble(fault looptest.Fault) string {
	type at struct {
		looptest.Verb
		looptest.When
	}
	switch where := (at{fault.Verb, fault.When}); fault.Class {
	case loop.Row:
		return map[at]string{{looptest.Hold, looptest.AtOnce}: "row", {looptest.Hold, looptest.AtCommit}: "at commit"}[where]
	case loop.Full:
		return map[at]string{
			{looptest.Hold, looptest.AtOnce}: "rows_full", {looptest.Hold, looptest.Midway}: "record_full",
			{looptest.Save, looptest.AtOnce}: "record_full", {looptest.Save, looptest.Midway}: "events_full",
			{looptest.Take, looptest.AtOnce}: "record_full", {looptest.Take, looptest.Midway}: "events_full",
			{looptest.Once, looptest.Midway}: "record_full", {looptest.Once, looptest.AtCommit}: "events_full",
			{looptest.TakeBack, looptest.Midway}: "record_full", {looptest.TakeBack, looptest.AtCommit}: "events_full",
		}[where]
	case loop.Other:
		return map[at]string{
			{looptest.Hold, looptest.Midway}: "record_breaks",
			{looptest.Save, looptest.AtOnce}: "record_breaks", {looptest.Save, looptest.Midway}: "events_break",
			{looptest.Take, looptest.AtOnce}: "record_breaks", {looptest.Take, looptest.Midway}: "events_break",
			{looptest.Once, looptest.Midway}: "record_breaks", {looptest.Once, looptest.AtCommit}: "events_break",
			{looptest.TakeBack, looptest.Midway}: "record_breaks", {looptest.TakeBack, looptest.AtCommit}: "events_break",
		}[where]
	}
	return ""
}

// rob gives the job to a run that nobody knows of, and back.
func (f *fixture) rob(t testing.TB, fault looptest.Fault) (giveBack func(), ok bool) {
	switch fault.Verb {
	case looptest.Save, looptest.Hold, looptest.Asked, looptest.Once, looptest.TakeBack:
	default:
		return nil, false
	}
	if fault.When != looptest.AtOnce && fault.When != looptest.Midway {
		return nil, false
	}
	owner := f.State(t).Record.RunID
	f.exec(t, f.db, "UPDATE _async_migration_ranges SET run_id = 'robber'")
	return func() { f.exec(t, f.db, "UPDATE _async_migration_ranges SET run_id = ?", owner) }, true
}

func (f *fixture) rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
