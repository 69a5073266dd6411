package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// state is all that a dry run could leave behind.
const state = `SELECT (SELECT group_concat(type || name || coalesce(sql, ''), ';') FROM sqlite_schema) || (SELECT schema_version FROM pragma_schema_version)
	|| (SELECT count(*) || ' ' || sum(id) FROM t)`

func dryRunTable(t *testing.T, cfg engine.Config) (run func(jobs.Job) (engine.DryRunResult, error)) {
	t.Helper()
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER); CREATE INDEX t_v ON t (v); CREATE TRIGGER t_ad AFTER DELETE ON t BEGIN SELECT 1; END;
		WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 40000) INSERT INTO t SELECT 3 * i, 'value ' || i, i % 100 FROM i; DELETE FROM t WHERE id > 60000 AND id < 90000`)
	eng, err := engine.New(db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	return func(job jobs.Job) (engine.DryRunResult, error) {
		before := valueOf(t, db, state)
		d, err := eng.DryRun(testContext(t), job)
		if after := valueOf(t, db, state); after != before {
			t.Errorf("the database is another one:\n%s\n%s", before, after)
		}
		mustExec(t, db, "CREATE INDEX i ON t (n)") // its name is free also for the connection
		mustExec(t, db, "DROP INDEX i")
		return d, err
	}
}

// TestDryRunOfAnIndex shows what the job would do, and leaves nothing.
func TestDryRunOfAnIndex(t *testing.T) {
	run := dryRunTable(t, engine.Config{SoleProcess: true})
	for _, twin := range []bool{false, true} {
		d, err := run(jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (n, v)", Twin: twin, Queries: []string{
			"SELECT v FROM t WHERE n = ? AND v > :low ORDER BY v", "SELECT * FROM t WHERE v = ?1 OR v = ?2"}})
		if err != nil {
			t.Fatal(err)
		}
		s := d.Reshape
		var names []string
		for _, step := range s.Steps {
			names = append(names, step.Name)
		}
		steps, wants := "shadow, copy, compare, catch up, settle, indexes, count, attach, catch up again, swap, empty, drop", []string{
			`CREATE TABLE "_chunkfill_new_t"`, `INSERT OR ABORT INTO main."_chunkfill_new_t"`, `DELETE FROM main."_chunkfill_old_t"`, "'_chunkfill_old_t_v'"}
		if twin {
			steps, wants = "shadow, copy, compare, catch up, swap, empty, check, drop", nil
		}
		if got := strings.Join(names, ", "); got != steps || !slices.ContainsFunc(s.Steps, func(s engine.DryRunStep) bool { return s.Name == "swap" && s.NoReturn }) {
			t.Errorf("steps %s, %+v", got, s.Steps)
		}
		text := fmt.Sprint(s.Steps)
		for _, want := range append(wants, `CREATE TABLE main."_chunkfill_log_t"`, `CREATE TRIGGER main."_chunkfill_au_t"`,
			"UPDATE main.sqlite_schema SET name = 'i', tbl_name = 't', sql = 'CREATE INDEX", "DROP TABLE IF EXISTS") {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		if len(s.Queries) != 2 || !s.Queries[0].Uses || s.Queries[1].Uses || !strings.Contains(s.Queries[0].After[0], "COVERING INDEX i (n=? AND v>?)") ||
			!strings.Contains(s.Queries[0].Before[0], "t_v") || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "will not use what the job makes: SELECT *") {
			t.Errorf("%+v, %q", s.Queries, d.Warnings)
		}
		if d.Rows != 30001 || d.TimeLow <= 0 || d.TimeHigh < d.TimeLow || d.WALBytes <= 0 || d.Held <= 0 || s.NeededBytes < 64<<20 || s.IndexBytes <= 0 || (s.TableBytes == 0) != twin || len(s.Refusals) > 0 || s.PlainHold <= 0 {
			t.Errorf("%+v %+v", d, s)
		}
	}
}

// TestDryRunMeasures room on a sample, with a gap in the ids of it: within a quarter of what a table of that shape takes. Planted and
// caught: sizes not scaled to all rows, and rows of the gap counted.
func TestDryRunMeasures(t *testing.T) {
	run := dryRunTable(t, engine.Config{SoleProcess: true})
	d, err := run(jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER, more TEXT DEFAULT '0123456789'); CREATE INDEX t_n ON t (n)", KeepOld: true})
	if err != nil {
		t.Fatal(err)
	}
	real := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER, more TEXT DEFAULT '0123456789'); CREATE INDEX t_n ON t (n); CREATE INDEX t_v ON t (v);
		WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 30001) INSERT INTO t SELECT 3 * i, 'value ' || i, i % 100, '0123456789' FROM i`)
	var table, indexes float64
	if err := real.QueryRow("SELECT sum(pgsize) FILTER (WHERE name = 't'), sum(pgsize) FILTER (WHERE name LIKE '%t_%' AND name <> 'sqlite_schema') FROM dbstat").Scan(&table, &indexes); err != nil {
		t.Skip("no dbstat:", err)
	}
	for what, r := range map[string]float64{"table": float64(d.Reshape.TableBytes) / table, "indexes": float64(d.Reshape.IndexBytes) / indexes} {
		if t.Logf("%s: %.2f of what it takes", what, r); r < 0.75 || r > 1.25 {
			t.Errorf("%s: %.2f of what it takes", what, r)
		}
	}
	if !slices.ContainsFunc(d.Notes, func(n string) bool { return strings.Contains(n, "stays, under the name _chunkfill_old_t") }) {
		t.Errorf("%q", d.Notes)
	}
}

// TestDryRunSaysAllThatIsRefused: room and rows at once; a start says the same. Planted and caught: the rows looked at
// only where there is room.
func TestDryRunSaysAllThatIsRefused(t *testing.T) {
	db := rebuildDB(t, looked)
	eng, err := engine.New(db, engine.Config{SoleProcess: true, MinFree: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	job := jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL, n, c TEXT CHECK (c > 'd'))"}
	d, err := eng.DryRun(testContext(t), job)
	_, startErr := eng.Run(testContext(t), job)
	for what, err := range map[string]error{"dry run": err, "start": startErr} {
		text := fmt.Sprint(err)
		for _, want := range []string{"not enough room on the disk of ", "make room", "v is NOT NULL in the new shape and NULL in 2", "CHECK (c > 'd') does not hold for"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %s", what, want, text)
			}
		}
		if !errors.Is(err, engine.ErrShape) || !errors.Is(err, engine.ErrNoRoom) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(d.Reshape.Refusals); n != 3 {
		t.Errorf("%d refusals: %q", n, d.Reshape.Refusals)
	}

	d, err = eng.DryRun(testContext(t), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (v TEXT PRIMARY KEY)"})
	if err == nil || len(d.Reshape.Refusals) != 1 || !strings.Contains(d.Reshape.Refusals[0], "it has no column id") {
		t.Errorf("%q, %v", d.Reshape.Refusals, err)
	}
}

// TestDryRunOfAJobThatHasBegun says how far it is, and refuses what a start would. Planted and caught: a window for the
// swap that is none.
func TestDryRunOfAJobThatHasBegun(t *testing.T) {
	db := rebuildDB(t, looked)
	eng, err := engine.New(db, engine.Config{SoleProcess: true, MaxBatches: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	job := jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (n)"}
	if _, err := eng.Run(testContext(t), job); !errors.Is(err, engine.ErrInterrupted) {
		t.Fatal(err)
	}
	if d, err := eng.DryRun(testContext(t), job); err != nil || d.Begun == "" || len(d.Reshape.Steps) == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	wrong := job
	wrong.SwapWindow = "at night"
	if _, err := eng.DryRun(testContext(t), wrong); !errors.Is(err, jobs.ErrSpec) {
		t.Errorf("a window that is none: %v", err)
	}
	job.Create = "CREATE INDEX i ON t (v)"
	if _, err := eng.DryRun(testContext(t), job); !errors.Is(err, engine.ErrJobChanged) {
		t.Errorf("%v", err)
	}
}

// TestPlainIndexIsForetold: of a small table a plain CREATE INDEX is right, of a large one not; the start of a job says
// so as well. Planted and caught: the time of the sample taken for that of all rows.
func TestPlainIndexIsForetold(t *testing.T) {
	for rows, right := range map[int]bool{20: true, 300_000: false} {
		db := rebuildDB(t, fmt.Sprintf(`CREATE TABLE t (id INTEGER PRIMARY KEY, v);
			WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < %d) INSERT INTO t SELECT i, i * 7919 %% 100003 FROM i`, rows))
		var log strings.Builder
		cfg := engine.Config{SoleProcess: true, TargetHold: 60 * time.Millisecond, QuietHold: 60 * time.Millisecond, MaxBatches: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		eng, err := engine.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		job := jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (v)", Queries: []string{"SELECT * FROM t WHERE v > 0 ORDER BY id"}}
		d, err := eng.DryRun(testContext(t), job)
		if err != nil || d.Reshape.PlainIsRight != right {
			t.Errorf("%d rows: %+v, %v", rows, d.Reshape, err)
		}
		_, _ = eng.Run(testContext(t), job)
		if err := eng.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "and is right here"); got != right || !strings.Contains(log.String(), "a query will not use what the job makes for it") {
			t.Errorf("%d rows: %s", rows, log.String())
		}
	}
}

// TestQueryPlansOfAJob are those of the database as it is.
func TestQueryPlansOfAJob(t *testing.T) {
	db := rebuildDB(t, looked)
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	job := jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (n)", Twin: true, Queries: []string{"SELECT id FROM t WHERE n = ?"}}
	for _, want := range []bool{false, true} {
		plans, err := eng.QueryPlans(testContext(t), &job)
		if err != nil || len(plans) != 1 || plans[0].Uses != want || plans[0].Query != job.Queries[0] {
			t.Errorf("%+v, %v, want %t", plans, err, want)
		}
		if _, err := eng.Run(testContext(t), job); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := eng.QueryPlans(testContext(t), jobs.Delete{Name: "d", Table: "t", Where: "0"}); !errors.Is(err, jobs.ErrSpec) {
		t.Error(err)
	}
	job.Queries = []string{"SELECT nothing FROM t"}
	job.Name, job.Create = "j", "CREATE INDEX k ON t (n)"
	if _, err := eng.DryRun(testContext(t), job); !errors.Is(err, engine.ErrFragment) || !strings.Contains(fmt.Sprint(err), "SELECT nothing") {
		t.Error(err)
	}
}

// TestDryRunOfAShapeAsJSON has each key, whatever is known.
func TestDryRunOfAShapeAsJSON(t *testing.T) {
	text, err := json.Marshal(engine.DryRunReshape{TableBytes: -1, PlainHold: -1})
	if err != nil || !strings.HasPrefix(string(text), `{"steps":[],"refusals":[],"queries":[],"table_bytes":null,"index_bytes":0,`) || !strings.Contains(string(text), `"plain_hold_ns":null`) {
		t.Errorf("%s, %v", text, err)
	}
}
