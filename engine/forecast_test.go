//go:build go1.25

package engine

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/jobs"
)

// In these tests a real engine walks over a real file in the time of synctest: what rows cost
// is what the rate, or a transform, has them cost.

// forecastRows are the rows of the tables, and forecastRate how many of them are done in a second.
const (
	forecastRows = 2400
	forecastRate = 20
)

// underForecast is a job under way, seen from its own process and from another connection.
type underForecast struct {
	*testing.T
	eng    *Engine
	db     *sql.DB
	reader *sql.DB
	job    jobs.Job
}

// forecastOf starts a job over the table that the statements make.
func forecastOf(t *testing.T, job jobs.Job, statements ...string) underForecast {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	u := underForecast{T: t, job: job, db: openFile(t, path), reader: openFile(t, path)}
	for _, s := range statements {
		if _, err := u.db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}

	// Whoever asks for live writes moves the clock, which stands still otherwise while the
	// engine looks for them.
	none := func() int { time.Sleep(20 * time.Microsecond); return 0 }
	eng, err := New(u.db, Config{SoleProcess: true, MaxRate: forecastRate, MinFree: -1, RowTimeout: time.Minute, LiveWriters: none})
	if err != nil {
		t.Fatal(err)
	}
	u.eng = eng
	t.Cleanup(func() {
		if err := eng.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := eng.Start(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return u
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// status looks at the job from both sides, which have to say the same.
func (u underForecast) status() Status {
	u.Helper()
	name := u.job.Spec().Name
	var s, read Status
	for range 3 { // one of them may see a second more of silence than the other
		synctest.Wait()
		var err error
		if s, err = u.eng.Status(u.Context(), name); err != nil {
			u.Fatal(err)
		}
		if read, err = ReadStatus(u.Context(), u.reader, name); err != nil {
			u.Fatal(err)
		}
		if s.ETA == read.ETA && s.ETALow == read.ETALow && s.ETAHigh == read.ETAHigh {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if s.ETA != read.ETA || s.ETALow != read.ETALow || s.ETAHigh != read.ETAHigh {
		u.Errorf("after %d rows the run says %v, %v to %v, and its reader %v, %v to %v", s.Rows, s.ETA, s.ETALow, s.ETAHigh, read.ETA, read.ETALow, read.ETAHigh)
	}
	if s.ETA < s.ETALow || s.ETA > s.ETAHigh {
		u.Errorf("after %d rows %v is likely, of %v to %v", s.Rows, s.ETA, s.ETALow, s.ETAHigh)
	}
	return s
}

// until lets time pass until so many rows are passed.
func (u underForecast) until(rows int64) Status {
	u.Helper()
	for {
		if s := u.status(); s.Rows >= rows || s.Phase == chunkfill.Done || s.Phase == chunkfill.Failed {
			return s
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// follow looks at the job at many moments until its end, and holds each range from three
// tenths to eight tenths of its time against the time that was then left. None may be
// wider than so many times.
func (u underForecast) follow(width time.Duration) {
	u.Helper()
	type said struct {
		at        time.Time
		low, high time.Duration
	}
	var all []said
	began := time.Now()
	for {
		s := u.status()
		if s.Phase == chunkfill.Done {
			break
		}
		if s.Phase == chunkfill.Failed {
			u.Fatal(s.Error)
		}
		all = append(all, said{time.Now(), s.ETALow, s.ETAHigh})
		time.Sleep(1700 * time.Millisecond)
	}
	end := time.Now()
	if s := u.status(); s.ETA != 0 || s.ETALow != 0 || s.ETAHigh != 0 {
		u.Errorf("at its end %v, %v to %v", s.ETA, s.ETALow, s.ETAHigh)
	}

	wrong, asked := 0, 0
	for _, s := range all {
		left := end.Sub(s.at)
		if part := float64(s.at.Sub(began)) / float64(end.Sub(began)); part < 0.3 || part > 0.8 {
			continue
		}
		asked++
		if s.low < 0 || left < s.low-2*time.Second || left > s.high+2*time.Second { // as much as it may be behind
			wrong++
			u.Logf("%v before the end: %v to %v", left, s.low, s.high)
		}
		if s.high > width*max(s.low, time.Second) {
			u.Errorf("%v before the end: %v to %v, want at most %d times that", left, s.low, s.high, width)
		}
	}
	if asked < 12 || wrong*10 > asked {
		u.Errorf("%d of %d ranges do not hold the time that was left", wrong, asked)
	}
}

// forecastTable is a table with a key of a type, of so many rows.
func forecastTable(keyType, key string, rows int) []string {
	return []string{
		"CREATE TABLE t (id " + keyType + " PRIMARY KEY NOT NULL, n INTEGER NOT NULL DEFAULT 0)",
		fmt.Sprintf("WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO t (id) SELECT %s FROM c", rows, key),
	}
}

var forecastUpdate = jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}

// TestForecast: the range that a status gives holds the time that is left, from the run and
// from another connection alike. Planted and caught: Working counted alone; keys taken for rows.
func TestForecast(t *testing.T) {
	for name, c := range map[string]struct {
		job   jobs.Job
		table []string
		width time.Duration
	}{
		"by rowid":      {forecastUpdate, forecastTable("INTEGER", "i", forecastRows), 2},
		"uneven rowids": {forecastUpdate, forecastTable("INTEGER", "CASE WHEN i % 3 = 0 THEN i * 3 ELSE 1000000000 + i END", forecastRows), 2},
		"counted":       {forecastUpdate, forecastTable("TEXT", "printf('%09d', i)", forecastRows), 2},
		"delete":        {jobs.Delete{Name: "j", Table: "t", Where: "n = 0"}, forecastTable("INTEGER", "i", forecastRows), 2},
		"slow transform": {jobs.Transform{Name: "j", Table: "t", Read: []string{"n"}, Write: []string{"n"}, Row: func(read []any) ([]any, error) {
			time.Sleep(300 * time.Millisecond)
			return []any{read[0].(int64) + 1}, nil
		}}, forecastTable("INTEGER", "i", forecastRows/2), 8}, // rows come in chunks of many seconds
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { forecastOf(t, c.job, c.table...).follow(c.width) })
		})
	}
}

// TestForecastOfATableThatGrows: rows that come in all over the keys are met by the walk. Planted
// and caught: no count but the first.
func TestForecastOfATableThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := forecastOf(t, forecastUpdate, forecastTable("TEXT", "printf('%09d', i * 7919 % 3000)", forecastRows)...)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = u.db.ExecContext(ctx, "INSERT INTO t (id) VALUES (printf('%09d-%d', ? * 7919 % 3000, ?))", i, i)
				time.Sleep(200 * time.Millisecond)
			}
		}()
		u.follow(2)
		stop()
		<-ended
	})
}

// TestForecastStandsStill while the job is paused, and goes on with it. Planted and caught:
// pauses counted.
func TestForecastStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := forecastOf(t, forecastUpdate, forecastTable("INTEGER", "i", forecastRows)...)
		if s := u.until(20); s.ETA != -1 || s.ETALow != -1 || s.ETAHigh != -1 {
			t.Errorf("after a second: %v, %v to %v; want unknown", s.ETA, s.ETALow, s.ETAHigh)
		}
		u.until(forecastRows / 2)
		if err := u.eng.Pause(t.Context(), "j", "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		before := u.status()
		if before.Phase != chunkfill.Paused || before.ETALow < 20*time.Second {
			t.Errorf("%s, %v left", before.Phase, before.ETA)
		}
		time.Sleep(2 * time.Minute)
		if now := u.status(); now.ETA != before.ETA || now.ETALow != before.ETALow || now.ETAHigh != before.ETAHigh {
			t.Errorf("paused: %v to %v, and minutes later %v to %v", before.ETALow, before.ETAHigh, now.ETALow, now.ETAHigh)
		}
		if err := u.eng.Resume(t.Context(), "j", "test"); err != nil {
			t.Fatal(err)
		}
		u.follow(2)
	})
}

// TestForecastAfterATune: what was before another cap on the rate tells nothing of the rest.
// Planted and caught: the points before it kept; the run that does not read them again.
func TestForecastAfterATune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := forecastOf(t, forecastUpdate, forecastTable("INTEGER", "i", forecastRows)...)
		u.until(forecastRows / 3)
		if err := u.eng.Tune(t.Context(), "j", Tuning{MaxRate: 4 * forecastRate}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := u.status(); s.ETA != -1 {
			t.Errorf("right after: %v; want unknown", s.ETA)
		}
		time.Sleep(5 * time.Second)
		s := u.status()
		left := time.Duration(forecastRows-s.Rows) * time.Second / (4 * forecastRate)
		if s.ETALow > left || s.ETAHigh < left || s.ETAHigh > 2*left {
			t.Errorf("%v are left: %v to %v", left, s.ETALow, s.ETAHigh)
		}
	})
}

// TestForecastOfAnotherRun: it goes on from what the run before has left. Planted and caught: a
// walk that is taken up taken for one that begins.
func TestForecastOfAnotherRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := forecastOf(t, jobs.Delete{Name: "j", Table: "t", Where: "n = 0"}, forecastTable("INTEGER", "i * 100", forecastRows)...)
		before := u.until(forecastRows / 2)
		if err := u.eng.Close(); err != nil {
			t.Fatal(err)
		}
		idle, err := ReadStatus(t.Context(), u.reader, "j")
		if err != nil || idle.Phase != chunkfill.Interrupted || idle.ETALow < before.ETALow/2 || idle.ETAHigh > before.ETAHigh*2 {
			t.Errorf("%s: %v to %v, %v; before %v to %v", idle.Phase, idle.ETALow, idle.ETAHigh, err, before.ETALow, before.ETAHigh)
		}

		eng, err := New(u.db, u.eng.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close()
		u.eng = eng
		if err := eng.Start(t.Context(), u.job); err != nil {
			t.Fatal(err)
		}
		if s := u.until(idle.Rows + 1); s.ETALow < 0 {
			t.Errorf("unknown after %d rows", s.Rows)
		}
		u.follow(2)
	})
}

// twoWalks is a job that walks over two tables of the same rows.
type twoWalks struct{}

func (twoWalks) Spec() jobs.Spec { return jobs.Spec{Name: "j", Table: "t"} }

func (twoWalks) program() *program {
	walk := func(name, table string) step {
		return step{Step: chunkfill.Step{Name: name, Kind: chunkfill.Walk}, rows: jobs.Spec{Table: table, Set: forecastUpdate.Set}}
	}
	nothing := func(context.Context, lite.Querier) (made, error) { return made{}, nil }
	return &program{definition: "two walks", steps: []step{
		walk("first", "t"), {Step: chunkfill.Step{Name: "between", Kind: chunkfill.Once}, once: nothing}, walk("second", "u"),
	}}
}

// TestForecastOfSteps: a walk that is to come counts. Planted and caught: the rest of the walk
// taken for the rest of the job.
func TestForecastOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tables := append(forecastTable("INTEGER", "i", forecastRows), "CREATE TABLE u (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)", "INSERT INTO u SELECT * FROM t")
		u := forecastOf(t, twoWalks{}, tables...)
		s := u.until(forecastRows / 2)
		left := (forecastRows*2 - time.Duration(s.Rows)) * time.Second / forecastRate
		if s.Step != "first" || s.ETALow > left || s.ETAHigh < left {
			t.Errorf("at step %s %v are left: %v to %v", s.Step, left, s.ETALow, s.ETAHigh)
		}

		for s.Step != "second" {
			time.Sleep(time.Second)
			s = u.status()
		}
		if s.Rows < forecastRate && s.ETA != -1 {
			t.Errorf("at the beginning of another walk: %v", s.ETA)
		}
		s = u.until(forecastRows / 2)
		left = (forecastRows - time.Duration(s.Rows)) * time.Second / forecastRate
		if s.ETALow > left || s.ETAHigh < left {
			t.Errorf("at step %s %v are left: %v to %v", s.Step, left, s.ETALow, s.ETAHigh)
		}
	})
}
