package torture_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

var soak = flag.Duration("soak", 10*time.Second, "how long TestSoak lasts")

// TestSoak ingests 500 rows a second while jobs start, pause, resume, fail, are
// cancelled and forgotten, round after round, and wants all that a service could
// // run out of to be as flat at the end as after the first third. Planted and caught:
// a reader that Engine.Close leaves open, a goroutine left behind by each run, a log
// line a batch.
func TestSoak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "soak.db")
	db := openFile(t, path)
	mustExec(t, db,
		"CREATE TABLE live (id INTEGER PRIMARY KEY, at TEXT, payload BLOB)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0 CHECK (n < 1000000), v TEXT)",
		"WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO t (id, v) SELECT i, printf('%100d', i) FROM c")
	ctx, stop := context.WithTimeout(t.Context(), *soak)
	defer stop()
	ingest := startLive(db)
	var log countingWriter
	var samples []sample
	s := &soaker{t: t, db: db, log: slog.New(slog.NewTextHandler(&log, nil))}
	for began := time.Now(); ctx.Err() == nil; {
		before := log.written.Load()
		s.round()
		now := measure(t, db, path)
		now.at, now.log = time.Since(began), float64(log.written.Load()-before)
		samples = append(samples, now)
	}
	ingest.stop(t)
	show(t, samples)
	wantFlat(t, samples)
	t.Logf("%d rounds, %d jobs, %d live rows, 0 failed", len(samples), s.jobs, ingest.rows.Load())
}

// soaker runs rounds of jobs.
type soaker struct {
	t    testing.TB
	db   *sql.DB
	log  *slog.Logger
	jobs int
}

// round is each kind of life that a job can have, on an engine of its own.
func (s *soaker) round() {
	t := s.t
	eng, err := engine.New(s.db, engine.Config{SoleProcess: true, Logger: s.log, QuarantineLimit: 3})
	if err != nil {
		t.Fatal(err)
	}
	update := func(name, expr string) jobs.Update {
		s.jobs++
		return jobs.Update{Name: name, Table: "t", Set: []jobs.Assign{{Column: "n", Expr: expr}}}
	}
	finished := update("finished", "n + 1")
	paused := update("paused", "(n + 1) % 1000")
	cancelled := jobs.Transform{Name: "cancelled", Table: "t", Read: []string{"v"}, Write: []string{"v"},
		Row: func(read []any) ([]any, error) { return read, nil }}
	failing := update("failing", "CASE WHEN id % 100 = 0 THEN 1000000 ELSE n END")
	purge := jobs.Delete{Name: "purge", Table: "live", Where: "id < ?", Args: []any{value(t, s.db, "SELECT coalesce(max(id), 0) - 2000 FROM live")}}
	s.jobs += 2

	s.run(eng, finished, nil)
	if err := eng.Start(t.Context(), paused); err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func(context.Context, string, string) error{eng.Pause, eng.Resume} {
		if err := ask(t.Context(), "paused", "soak"); err != nil && !errors.Is(err, checkpoint.ErrUnknown) {
			t.Log(err) // it may have ended already
		}
	}
	eng.Wait()
	if err := eng.Start(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	_ = eng.Cancel(t.Context(), "cancelled", "soak") // the same
	eng.Wait()
	s.run(eng, failing, engine.ErrTooManyBadRows)
	s.run(eng, purge, nil)
	for _, name := range []string{"finished", "paused", "cancelled", "failing", "purge"} {
		if err := eng.Forget(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *soaker) run(eng *engine.Engine, job jobs.Job, want error) {
	s.t.Helper()
	if _, err := eng.Run(s.t.Context(), job); !errors.Is(err, want) {
		s.t.Fatalf("%s: %v, want %v", job.Spec().Name, err, want)
	}
}

// sample is what there is between two rounds.
type sample struct {
	at                                               time.Duration
	goroutines, descriptors, rss, wal, log, db, rows float64
}

var sampled = []struct {
	name   string
	of     func(sample) float64
	growth float64 // that is still flat, as a part
	spare  float64 // and in itself
	most   float64 // however flat
}{
	{"goroutines", func(s sample) float64 { return s.goroutines }, 0, 0, 10},
	{"descriptors", func(s sample) float64 { return s.descriptors }, 0, 0, 30},
	{"RSS MB", func(s sample) float64 { return s.rss }, 0.1, 4, 64},
	{"WAL MB", func(s sample) float64 { return s.wal }, 0, 2, 8.2},
	{"log bytes a round", func(s sample) float64 { return s.log }, 0.2, 0, 3000}, // five jobs, one of which fails
	{"file MB", func(s sample) float64 { return s.db }, 0.1, 1, 10},
	{"records", func(s sample) float64 { return s.rows }, 0, 0, 10},
}

func measure(t testing.TB, db *sql.DB, path string) sample {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	size := func(path string) float64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return float64(info.Size()) / 1e6
	}
	records, err := strconv.ParseFloat(value(t, db, `SELECT (SELECT count(*) FROM _async_migrations) + (SELECT count(*) FROM _async_migration_checkpoints)
		+ (SELECT count(*) FROM _async_migration_events) + (SELECT count(*) FROM _async_migration_samples) + (SELECT count(*) FROM _async_migration_quarantine)`), 64)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC() // what is garbage is no leak
	return sample{goroutines: goroutines(), descriptors: float64(len(fds)), rss: rss(t), wal: size(path + "-wal"), db: size(path), rows: records}
}

// goroutines leaves those that are about to end the time to do so.
func goroutines() float64 {
	least := runtime.NumGoroutine()
	for range 100 {
		runtime.Gosched()
		least = min(least, runtime.NumGoroutine())
	}
	return float64(least)
}

func rss(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / 1e6
}

// show prints about a dozen of the samples.
func show(t testing.TB, samples []sample) {
	t.Helper()
	head := fmt.Sprintf("%8s", "")
	for _, s := range sampled {
		head += fmt.Sprintf("%19s", s.name)
	}
	t.Log(head)
	for i := 0; i < len(samples); i += max(1, len(samples)/12) {
		line := fmt.Sprintf("%8s", samples[i].at.Round(time.Second))
		for _, s := range sampled {
			line += fmt.Sprintf("%19.5g", s.of(samples[i]))
		}
		t.Log(line)
	}
}

// wantFlat compares the medians of the second and of the last third.
func wantFlat(t testing.TB, samples []sample) {
	t.Helper()
	third := len(samples) / 3
	if third < 3 {
		t.Fatalf("only %d rounds", len(samples))
	}
	for _, s := range sampled {
		before, after := median(samples[third:2*third], s.of), median(samples[2*third:], s.of)
		if after > before*(1+s.growth)+s.spare || after > s.most {
			t.Errorf("%s: %g in the middle, %g at the end, at most %g", s.name, before, after, s.most)
		}
	}
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

type countingWriter struct{ written atomic.Int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.written.Add(int64(len(p)))
	return len(p), nil
}

// live writes 500 rows a second.
type live struct {
	cancel context.CancelFunc
	done   chan struct{}
	rows   atomic.Int64
	err    error
}

func startLive(db *sql.DB) *live {
	ctx, cancel := context.WithCancel(context.Background())
	l := &live{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for l.err == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, l.err = db.Exec("INSERT INTO live (at, payload) VALUES (datetime('now'), randomblob(100))"); l.err == nil {
				l.rows.Add(1)
			}
		}
	}()
	return l
}

func (l *live) stop(t testing.TB) {
	t.Helper()
	l.cancel()
	<-l.done
	if l.err != nil {
		t.Errorf("a live write: %v", l.err)
	}
}
