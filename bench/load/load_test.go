package load

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

// table makes a small database; open opens it, in the bubble of a test.
func table(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "live.db")
	if _, err := dataset.Generate(t.Context(), path, dataset.Config{Rows: 200}); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func begin(t *testing.T, ctx context.Context, db *sql.DB, cfg Config) *Load {
	t.Helper()
	l, err := start(ctx, db, cfg, timerSleep, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hold keeps the only connection for d, as a long transaction would.
func hold(t *testing.T, db *sql.DB, d time.Duration) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(d) // of the bubble
	conn.Close()
	synctest.Wait()
}

func rows(t *testing.T, db *sql.DB) (n int64) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM observations WHERE id > 200`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func named(t *testing.T, phases []Phase, name string) Phase {
	t.Helper()
	for _, p := range phases {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no phase %q in %+v", name, phases)
	return Phase{}
}

func near(got, want, within time.Duration) bool { return (got - want).Abs() <= within }

// A stall of a second is felt by each of the 200 inserts due in it, the first a
// whole second, the last not at all.
// Planted: latency counted from when the ingester came to the insert.
func TestLatencyCountsFromTheTimeDue(t *testing.T) {
	path := table(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		db := open(t, path)
		l := begin(t, ctx, db, Config{Rate: 200})
		time.Sleep(time.Second - time.Millisecond) // the stall begins just before an insert
		l.Phase("stall")
		hold(t, db, time.Second)
		cancel()
		p := named(t, l.Wait(), "stall")
		if p.Inserts != 200 {
			t.Errorf("%d inserts, want 200", p.Inserts)
		}
		const within = 10 * time.Millisecond
		if !near(p.P50, 500*time.Millisecond, within) || !near(p.P99, 990*time.Millisecond, within) || !near(p.Max, time.Second, within) {
			t.Errorf("p50 %v, p99 %v, max %v; want 0.5 s, 0.99 s, 1 s", p.P50, p.P99, p.Max)
		}
		if len(p.Worst) != maxWorst || p.Worst[0].Latency() != p.Max || p.Worst[1].Latency() >= p.Max {
			t.Errorf("worst %v, want %d beginning with %v", p.Worst, maxWorst, p.Max)
		}
		if first := p.Worst[0].Due; !near(first.Sub(p.Start), time.Millisecond, 0) {
			t.Errorf("the worst was due %v into the stall, want 1ms", first.Sub(p.Start))
		}
	})
}

// Planted: samples put into the phase at hand when they end.
func TestInsertsBelongToThePhaseTheyWereDueIn(t *testing.T) {
	path := table(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		db := open(t, path)
		l := begin(t, ctx, db, Config{Rate: 100})
		l.Phase("before")
		time.Sleep(500*time.Millisecond - time.Millisecond)
		l.Phase("during")
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		l.Phase("after")
		conn.Close() // the inserts of "during" are made now
		time.Sleep(200 * time.Millisecond)
		cancel()
		phases := l.Wait()
		if len(phases) != 3 {
			t.Fatalf("%d phases, want 3: the empty first one is left out", len(phases))
		}
		for name, inserts := range map[string]int64{"before": 50, "during": 30, "after": 20} {
			if p := named(t, phases, name); p.Inserts != inserts {
				t.Errorf("%s: %d inserts, want %d", name, p.Inserts, inserts)
			}
		}
		if p := named(t, phases, "before"); p.Max > 5*time.Millisecond {
			t.Errorf("before the stall: max %v", p.Max)
		}
		if p := named(t, phases, "during"); p.Max < 290*time.Millisecond || p.Over.Max[0] != float64(p.Max) {
			t.Errorf("during the stall: max %v, over time %v", p.Max, p.Over.Max)
		}
	})
}

// Planted: run returns as soon as ctx has ended.
func TestStopsAndDrains(t *testing.T) {
	path := table(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		db := open(t, path)
		l := begin(t, ctx, db, Config{Rate: 100})
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(995 * time.Millisecond)
		if got := l.Waiting(); got != 99 && got != 100 { // one may be through before the hold
			t.Errorf("%d waiting, want 99 or 100", got)
		}
		cancel()
		time.Sleep(time.Second) // nothing more becomes due
		conn.Close()
		phases := l.Wait()
		if inserts := phases[0].Inserts; inserts != 100 || rows(t, db) != inserts {
			t.Errorf("%d inserts measured, %d rows; want 100", inserts, rows(t, db))
		}
		if got := l.Waiting(); got != 0 {
			t.Errorf("%d waiting at the end", got)
		}
	})
}

// Planted: LOCKED counted for BUSY.
func TestErrorsAreCountedAndTheFirstKept(t *testing.T) {
	path := table(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		db := open(t, path)
		if _, err := db.Exec(`PRAGMA busy_timeout = 0`); err != nil {
			t.Fatal(err)
		}
		other := open(t, path)
		l := begin(t, ctx, db, Config{Rate: 100})
		time.Sleep(time.Second - time.Millisecond)
		l.Phase("locked")
		tx, err := other.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`DELETE FROM transmissions WHERE id < 0`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		l.Phase("refused")
		if _, err := tx.Exec(`CREATE TRIGGER no BEFORE INSERT ON observations BEGIN SELECT RAISE(ABORT, 'not today'); END`); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		cancel()
		phases := l.Wait()
		if p := named(t, phases, ""); p.Inserts != 100 || p.Errors != 0 || p.FirstError != "" {
			t.Errorf("at first: %d of %d failed: %s", p.Errors, p.Inserts, p.FirstError)
		}
		if p := named(t, phases, "locked"); p.Inserts != 50 || p.Errors != 50 || p.Busy != 50 {
			t.Errorf("locked: %d inserts, %d errors, %d busy; want 50 of each", p.Inserts, p.Errors, p.Busy)
		}
		p := named(t, phases, "refused")
		if p.Errors != 50 || p.Busy != 0 || !strings.Contains(p.FirstError, "not today") {
			t.Errorf("refused: %d errors, %d busy, first %q", p.Errors, p.Busy, p.FirstError)
		}
	})
}

// Planted: the observer drawn from the seed.
func TestLoadsOfOneSeedDoNotCollide(t *testing.T) {
	db := open(t, table(t))
	one, err := newSource(t.Context(), db, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer one.close()
	two, err := newSource(t.Context(), db, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer two.close()
	for range 300 {
		for _, s := range []*source{one, two} {
			if err := s.insert(s.next()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestStartRefuses(t *testing.T) {
	db := open(t, table(t))
	if _, err := Start(t.Context(), db, Config{Rate: -1}); err == nil || !strings.Contains(err.Error(), "Config.Rate") {
		t.Errorf("negative rate: %v", err)
	}
	if _, err := db.Exec(`DELETE FROM transmissions`); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), db, Config{}); err == nil || !strings.Contains(err.Error(), "newest transmission") {
		t.Errorf("no transmissions: %v", err)
	}
}

// The real clock: never early, and at once when the context ends.
func TestSleepUntilIsNeverEarly(t *testing.T) {
	var a arrivals
	defer a.timer.Close()
	for _, d := range []time.Duration{-time.Second, 0, 50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		until := time.Now().Add(d)
		if !a.sleepUntil(t.Context(), until) || time.Now().Before(until) {
			t.Errorf("%v: early", d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a.sleepUntil(ctx, time.Now().Add(time.Hour)) {
		t.Error("slept for an hour after the end")
	}
	if !a.sleepUntil(ctx, time.Now()) {
		t.Error("an insert that was due before the end is left out")
	}
}

// BenchmarkSleepUntil reports how late the load comes to an insert at 200 a
// second, on average and at worst: what it adds to the latencies itself.
func BenchmarkSleepUntil(b *testing.B) {
	var a arrivals
	defer a.timer.Close()
	var total, worst time.Duration
	for b.Loop() {
		until := time.Now().Add(5 * time.Millisecond)
		a.sleepUntil(b.Context(), until)
		late := time.Since(until)
		total += late
		worst = max(worst, late)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs-late")
	b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
}

// BenchmarkIdle is the load alone, 200 inserts a second: the floor under every
// latency measured beside a rewrite. One op is one insert.
func BenchmarkIdle(b *testing.B) {
	path := filepath.Join(b.TempDir(), "live.db")
	if _, err := dataset.Generate(b.Context(), path, dataset.Config{Rows: 20_000}); err != nil {
		b.Fatal(err)
	}
	db, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	l, err := Start(ctx, db, Config{})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		timerSleep(ctx, l.due(int64(i)))
	}
	cancel()
	p := l.Wait()[0]
	for unit, d := range map[string]time.Duration{"p50-µs": p.P50, "p99-µs": p.P99, "max-µs": p.Max} {
		b.ReportMetric(float64(d.Microseconds()), unit)
	}
}
