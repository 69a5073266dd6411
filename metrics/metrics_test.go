package metrics

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// host is an application with a database, an engine and a Collector.
type host struct {
	t         *testing.T
	path      string
	db        *sql.DB
	eng       *engine.Engine
	collector *Collector
	registry  *prometheus.Registry
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// newHost has a table t of so many rows, of which every 1000th cannot be rewritten.
func newHost(t *testing.T, path string, rows int, cfg engine.Config) *host {
	t.Helper()
	h := &host{t: t, path: path, db: open(t, path), collector: New(), registry: prometheus.NewPedanticRegistry()}
	exec(t, h.db, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, v TEXT DEFAULT 'secret')",
		fmt.Sprintf("INSERT INTO t (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c WHERE %[1]d > 0", rows),
		"CREATE TRIGGER IF NOT EXISTS stop BEFORE UPDATE ON t WHEN old.id % 1000 = 777 BEGIN SELECT RAISE(ABORT, 'the secret is bad'); END")
	cfg.Observer = h.collector
	eng, err := engine.New(h.db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	h.eng = eng
	h.collector.Follow(eng)
	h.registry.MustRegister(h.collector)
	return h
}

func increment(name string) jobs.Update {
	return jobs.Update{Name: name, Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}
}

// samples are the values of a scrape, by name and labels as in `name{a="b",c="d"}`; of a
// histogram its count and sum.
func (h *host) samples() map[string]float64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName() + labels(m)
			switch family.GetType() {
			case dto.MetricType_HISTOGRAM:
				all[name+" count"] = float64(m.GetHistogram().GetSampleCount())
				all[name+" sum"] = m.GetHistogram().GetSampleSum()
			case dto.MetricType_COUNTER:
				all[name] = m.GetCounter().GetValue()
			default:
				all[name] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

func labels(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// want compares values of a scrape.
func (h *host) want(want map[string]float64) {
	h.t.Helper()
	got := h.samples()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			h.t.Errorf("%s is %v (there: %v), want %v", name, v, ok, value)
		}
	}
}

// TestValues of a job that has come to its end are those of its own record. Planted and
// caught: rows counted of the wrong field; the hold of a quarantined row counted as
// committed; a phase short of the set; seconds told as milliseconds.
func TestValues(t *testing.T) {
	h := newHost(t, filepath.Join(t.TempDir(), "a.db"), 3000, engine.Config{SoleProcess: true, MaxRate: 20_000})
	r, err := h.eng.Run(t.Context(), increment("inc"))
	if err != nil || r.Quarantined != 3 {
		t.Fatal(r, err)
	}

	h.want(map[string]float64{
		`chunkfill_rows_scanned_total{job_name="inc"}`:                  3000,
		`chunkfill_rows_changed_total{job_name="inc"}`:                  2997,
		`chunkfill_rows_quarantined_total{job_name="inc"}`:              3,
		`chunkfill_quarantine_rows{job_name="inc"}`:                     3,
		`chunkfill_batches_total{job_name="inc",outcome="committed"}`:   float64(r.Batches - 3),
		`chunkfill_batches_total{job_name="inc",outcome="quarantined"}`: 3,
		`chunkfill_batches_total{job_name="inc",outcome="busy"}`:        0,
		`chunkfill_job_phase{job_name="inc",phase="done"}`:              1,
		`chunkfill_job_phase{job_name="inc",phase="running"}`:           0,
		`chunkfill_progress_ratio{job_name="inc"}`:                      1,
		`chunkfill_batch_rows{job_name="inc"}`:                          float64(r.BatchRows),
		`chunkfill_job_updated_timestamp_seconds{job_name="inc"}`:       float64(r.UpdatedAt.UnixMilli()) / 1000,
		`chunkfill_jobs_read_success`:                                   1,
	})

	got := h.samples()
	var waited float64
	states := 0
	for name, value := range got {
		if strings.HasPrefix(name, "chunkfill_throttled_seconds_total") {
			waited += value
		}
		if strings.HasPrefix(name, "chunkfill_job_phase") {
			states++
		}
	}
	if off := waited - (r.Throttled + r.PausedFor).Seconds(); off < -1e-3 || off > 1e-3 || states != len(phases) {
		t.Errorf("throttled for %v s, the job says %v; %d phases", waited, r.Throttled, states)
	}
	batches := 0.0
	for _, outcome := range []string{"committed", "quarantined", "busy", "rolled back"} {
		batches += got[`chunkfill_batches_total{job_name="inc",outcome="`+outcome+`"}`]
	}
	held := `chunkfill_hold_seconds{job_name="inc",kind="batch"}`
	if got[held+" count"] != batches || got[held+" sum"] < r.Working.Seconds() || got[held+" sum"] > 10*r.Working.Seconds() {
		t.Errorf("%v batches, %v holds of %v s; the job has %v", batches, got[held+" count"], got[held+" sum"], r.Working)
	}
}

// TestRunningJob: what memory knows of a job shows while it runs. Planted and caught: its
// phase taken from the record of its start.
func TestRunningJob(t *testing.T) {
	h := newHost(t, filepath.Join(t.TempDir(), "a.db"), 3000, engine.Config{SoleProcess: true, MaxRate: 100})
	if err := h.eng.Start(t.Context(), increment("inc")); err != nil {
		t.Fatal(err)
	}
	h.wait("rows", func(got map[string]float64) bool { return got[`chunkfill_rows_scanned_total{job_name="inc"}`] >= 100 })

	h.wait("an ETA", func(got map[string]float64) bool { return got[`chunkfill_eta_high_seconds{job_name="inc"}`] > 0 })
	got := h.samples()
	if p := got[`chunkfill_progress_ratio{job_name="inc"}`]; p <= 0 || p >= 1 || got[`chunkfill_job_phase{job_name="inc",phase="running"}`] != 1 ||
		got[`chunkfill_wal_bytes{job_name="inc"}`] == 0 || got[`chunkfill_eta_seconds{job_name="inc"}`] < got[`chunkfill_eta_low_seconds{job_name="inc"}`] ||
		got[`chunkfill_eta_seconds{job_name="inc"}`] > got[`chunkfill_eta_high_seconds{job_name="inc"}`] {
		t.Errorf("%v", got)
	}
	if err := h.eng.Pause(t.Context(), "inc", "the secret lunch"); err != nil {
		t.Fatal(err)
	}
	h.wait("the pause", func(got map[string]float64) bool {
		return got[`chunkfill_job_phase{job_name="inc",phase="paused"}`] == 1 && got[`chunkfill_throttled_seconds_total{job_name="inc",reason="paused"}`] > 0
	})
	h.wantNoSecrets()
}

func (h *host) wait(what string, ok func(map[string]float64) bool) {
	h.t.Helper()
	for began := time.Now(); !ok(h.samples()); <-time.After(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			h.t.Fatalf("not within 20 s: %s; %v", what, h.samples())
		}
	}
}

// TestLint: client_golang's linter finds nothing, of a job that has a value in each metric.
func TestLint(t *testing.T) {
	h := newHost(t, filepath.Join(t.TempDir(), "a.db"), 2000, engine.Config{SoleProcess: true})
	if _, err := h.eng.Run(t.Context(), increment("inc")); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(h.registry)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	h.wantNoSecrets()
}

// wantNoSecrets wants no key, no value and no text of an error in a scrape.
func (h *host) wantNoSecrets() {
	h.t.Helper()
	for name := range h.samples() {
		if strings.Contains(name, "secret") || strings.Contains(name, "777") {
			h.t.Error(name)
		}
	}
}

// TestStoredJobs: jobs of which this process knows only the record show how they stand.
// Planted and caught: only observed jobs shown.
func TestStoredJobs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	earlier := newHost(t, path, 100, engine.Config{})
	if _, err := earlier.eng.Run(t.Context(), increment("inc")); err != nil {
		t.Fatal(err)
	}
	if _, err := earlier.eng.Run(t.Context(), jobs.Update{Name: "bad", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "NULL"}}}); err == nil {
		t.Fatal("it did not fail")
	}

	h := newHost(t, path, 0, engine.Config{})
	h.want(map[string]float64{
		`chunkfill_job_phase{job_name="inc",phase="done"}`:    1,
		`chunkfill_job_phase{job_name="bad",phase="failed"}`:  1,
		`chunkfill_job_phase{job_name="bad",phase="running"}`: 0,
		`chunkfill_progress_ratio{job_name="inc"}`:            1,
	})
	if err := h.eng.Close(); err != nil {
		t.Fatal(err)
	}
	h.collector.list.at = time.Time{}
	h.want(map[string]float64{`chunkfill_jobs_read_success`: 0})
	if phase, ok := h.samples()[`chunkfill_job_phase{job_name="inc",phase="done"}`]; ok {
		t.Errorf("after Close it shows %v", phase)
	}
}

// TestScrapeBesideAHeldWriter: neither another process with the write lock nor whoever has
// the host's only connection keeps a scrape waiting, and it shows all jobs. With a database
// in memory, where that connection is the only one, it says that it could not read. Planted
// and caught: a read that is waited for to its end.
func TestScrapeBesideAHeldWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	h := newHost(t, path, 100, engine.Config{})
	if _, err := h.eng.Run(t.Context(), increment("inc")); err != nil {
		t.Fatal(err)
	}
	exec(t, open(t, path), "BEGIN IMMEDIATE", "UPDATE t SET n = 7")
	hold(t, h.db)
	h.want(map[string]float64{`chunkfill_job_phase{job_name="inc",phase="done"}`: 1, `chunkfill_jobs_read_success`: 1})

	m := newHost(t, ":memory:", 100, engine.Config{})
	if _, err := m.eng.Run(t.Context(), increment("inc")); err != nil {
		t.Fatal(err)
	}
	hold(t, m.db)
	m.want(map[string]float64{`chunkfill_rows_changed_total{job_name="inc"}`: 100, `chunkfill_jobs_read_success`: 0})
}

// hold keeps the only connection of a pool until the end of the test.
func hold(t *testing.T, db *sql.DB) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}

// TestForgottenJob: its series go, those of a job that begins stay. Planted and caught:
// nothing dropped; a job dropped that is about to begin.
func TestForgottenJob(t *testing.T) {
	h := newHost(t, filepath.Join(t.TempDir(), "a.db"), 100, engine.Config{})
	if _, err := h.eng.Run(t.Context(), increment("inc")); err != nil {
		t.Fatal(err)
	}
	if err := h.eng.Forget(context.WithoutCancel(t.Context()), "inc"); err != nil {
		t.Fatal(err)
	}
	h.collector.Observe("new", engine.PhaseChange{To: chunkfill.Running})
	h.collector.jobs["inc"] = observed{moved: time.Now().Add(-2 * forgetAfter)}
	h.samples()
	for name := range h.samples() {
		if strings.Contains(name, `"inc"`) {
			t.Error(name)
		}
	}
	h.want(map[string]float64{`chunkfill_rows_scanned_total{job_name="new"}`: 0})
}
