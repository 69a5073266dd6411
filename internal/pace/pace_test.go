package pace

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
)

func open(t *testing.T, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db"))
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	for _, s := range statements {
		_, err := db.ExecContext(context.Background(), s)
		must(t, err)
	}
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// walking is a job at a walk, after so many rows and seconds.
func walking(rows int64, seconds float64) chunkfill.Checkpoint {
	var cp chunkfill.Checkpoint
	cp.Name, cp.Phase, cp.Pass, cp.Entered = "j", chunkfill.Running, 1, true
	cp.Steps = []chunkfill.Step{{Name: "walk", Kind: chunkfill.Walk}}
	cp.Step, cp.Of, cp.Total = "walk", "walk", 1000
	cp.Rows, cp.Throttled = rows, time.Duration(seconds*float64(time.Second))
	cp.Cursor = fmt.Sprint(rows)
	return cp
}

// points are those of a walk over 1000 rows, ten a second, up to so many seconds.
func points(seconds int) (all []record.PacePoint) {
	all = append(all, record.PacePoint{Slot: record.PaceBegan, Step: "walk", Pass: 1})
	for s := 1; s <= seconds; s++ {
		all = append(all, record.PacePoint{Slot: s, Step: "walk", Pass: 1, Worked: time.Duration(s) * time.Second, Rows: int64(10 * s), Total: 1000})
	}
	return all
}

// TestForecast: what is said of a job in each of its states. Planted and caught: points of another
// pass; a beginning made up; silence left out; the steps after it.
func TestForecast(t *testing.T) {
	const unknown = -1
	change := func(f func(*chunkfill.Checkpoint)) chunkfill.Checkpoint {
		cp := walking(500, 50)
		f(&cp)
		return cp
	}
	for name, c := range map[string]struct {
		cp     chunkfill.Checkpoint
		points []record.PacePoint
		left   float64 // seconds
	}{
		"in the middle":            {walking(500, 50), points(50), 50},
		"a moment later":           {walking(500, 51.9), points(50), 50},
		"no batch for ten seconds": {walking(500, 60), points(50), 45},
		"no points":                {walking(500, 50), nil, unknown},
		"no beginning":             {walking(500, 50), points(50)[1:], unknown},
		"at the beginning":         {walking(5, 0.5), points(0), unknown},
		"paused":                   {change(func(cp *chunkfill.Checkpoint) { cp.Phase = chunkfill.Paused }), points(50), 50},
		"interrupted":              {change(func(cp *chunkfill.Checkpoint) { cp.Phase = chunkfill.Interrupted }), points(50), 50},
		"failed":                   {change(func(cp *chunkfill.Checkpoint) { cp.Phase = chunkfill.Failed }), points(50), unknown},
		"cancelled":                {change(func(cp *chunkfill.Checkpoint) { cp.Phase = chunkfill.Cancelled }), points(50), unknown},
		"taken back":               {change(func(cp *chunkfill.Checkpoint) { cp.Back = true }), points(50), unknown},
		"done":                     {change(func(cp *chunkfill.Checkpoint) { cp.Phase = chunkfill.Done }), nil, 0},
		"another pass":             {change(func(cp *chunkfill.Checkpoint) { cp.Pass = 2 }), points(50), unknown},
		"by rowid":                 {change(func(cp *chunkfill.Checkpoint) { cp.Total = 0 }), points(50), 50},
		"of no steps":              {change(func(cp *chunkfill.Checkpoint) { cp.Steps, cp.Step = nil, "" }), points(50), unknown},
		"then as long a walk": {change(func(cp *chunkfill.Checkpoint) {
			cp.Steps = append(cp.Steps, chunkfill.Step{Name: "swap", Kind: chunkfill.Once}, chunkfill.Step{Name: "other", Kind: chunkfill.Walk})
		}), points(50), 150},
		"then a count": {change(func(cp *chunkfill.Checkpoint) {
			cp.Steps = append(cp.Steps, chunkfill.Step{Name: "verify", Kind: chunkfill.Verify, Of: "walk"})
			cp.Working, cp.Throttled = cp.Throttled, 0
		}), points(50), 100},
		"in the count": {change(func(cp *chunkfill.Checkpoint) {
			cp.Steps = append(cp.Steps, chunkfill.Step{Name: "verify", Kind: chunkfill.Verify, Of: "walk"})
			cp.Step, cp.Phase = "verify", chunkfill.Verifying
		}), points(50), unknown},
	} {
		s := chunkfill.Status{Checkpoint: c.cp}
		Forecast(&s, c.points)
		low, high := s.ETALow.Seconds(), s.ETAHigh.Seconds()
		if c.left == unknown {
			if s.ETALow != -1 || s.ETA != -1 || s.ETAHigh != -1 {
				t.Errorf("%s: %v, %v to %v; want unknown", name, s.ETA, s.ETALow, s.ETAHigh)
			}
			continue
		}
		if low > c.left || high < c.left || low < c.left/3 || high > c.left*2.5 || s.ETA < s.ETALow || s.ETA > s.ETAHigh {
			t.Errorf("%s: %v, %v to %v; want around %v s", name, s.ETA, s.ETALow, s.ETAHigh, c.left)
		}
	}
}

// TestKeeper: what a run has in memory is what its database has, at each moment; what is not
// committed counts on neither side. Planted and caught: added before the commit; a mark put over the one that
// stands.
func TestKeeper(t *testing.T) {
	ctx := context.Background()
	db := open(t)
	must(t, record.UpgradeTx(ctx, db))
	k := NewKeeper("j", db)
	key := lite.Key{Table: "t"}
	k.Enter(ctx, func() chunkfill.Checkpoint { cp := walking(0, 0); cp.Cursor = ""; return cp }(), Walked{Key: key})
	from, now := walking(0, 0), noon
	from.Cursor = ""

	same := func(when string, cp chunkfill.Checkpoint, known bool) {
		t.Helper()
		a, b := chunkfill.Status{Checkpoint: cp}, chunkfill.Status{Checkpoint: cp}
		stored, err := record.Pace(ctx, db, "j")
		must(t, err)
		k.Forecast(&a, 0)
		Forecast(&b, stored)
		if a.ETALow != b.ETALow || a.ETA != b.ETA || a.ETAHigh != b.ETAHigh || known != (a.ETA >= 0) {
			t.Errorf("%s: %v, %v to %v in memory; %v, %v to %v stored; known %t", when, a.ETA, a.ETALow, a.ETAHigh, b.ETA, b.ETALow, b.ETAHigh, known)
		}
	}
	batch := func(rows int64, seconds float64, commit bool) {
		t.Helper()
		cp := walking(rows, seconds)
		cp.Pass = from.Pass
		now = now.Add(time.Second)
		tx, err := db.BeginTx(ctx, nil)
		must(t, err)
		must(t, k.AddTx(ctx, tx, now, from, cp.RangeRecord, nil))
		if !commit {
			must(t, tx.Rollback())
			return
		}
		must(t, tx.Commit())
		k.Committed()
		from = cp
	}

	for s := 1; s <= 700; s++ { // more than the ring has
		if s%100 == 7 {
			batch(int64(s), float64(s)*1.5, false)
		}
		batch(int64(s), float64(s)+math.Sin(float64(s)), true)
		if s%50 == 0 {
			same(fmt.Sprintf("after %d s", s), from, true)
		}
	}
	tuned := chunkfill.Tuning{MaxRate: 3}
	must(t, record.TakeTx(ctx, db, from, noon))
	must(t, TuneTx(ctx, db, from, tuned))
	k.Heard(ctx, chunkfill.Request{Tuning: tuned})
	same("after a tune", from, false)
	for s := 701; s <= 720; s++ {
		batch(int64(s), float64(s)+math.Sin(float64(s)), true)
	}
	same("and 20 s", from, true)

	again := NewKeeper("j", db)
	again.Enter(ctx, from, Walked{Key: key})
	k = again
	same("another run", from, true)

	from.Pass, from.Cursor = 2, ""
	k.Enter(ctx, from, Walked{Key: key})
	for s := 1; s <= 20; s++ {
		batch(int64(720+s), 1000+float64(s)+math.Sin(float64(s)), true)
	}
	same("a second pass", from, true)
	stored, err := record.Pace(ctx, db, "j")
	must(t, err)
	for _, p := range stored {
		if p.Pass != 2 {
			t.Errorf("a point of the pass before is kept: %+v", p)
		}
	}
}

// TestRowsInHeaps: how many rows lie ahead of a key, of tables whose ids are spread in many
// ways. Planted and caught: no more probes than those that are evenly spaced.
func TestRowsInHeaps(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		id     string // of row i
		within float64
	}{
		"one after the other":   {"i", 1.02},
		"every tenth":           {"10 * i", 1.02},
		"two heaps":             {"CASE WHEN i < 5000 THEN i ELSE 1000000000000 + i END", 1.1},
		"heaps of a thousand":   {"i + i / 1000 * 1000000", 1.4},
		"ever thinner":          {"i * i", 1.15},
		"negative and far":      {"CASE WHEN i < 10000 THEN -9000000000000 + i ELSE 9000000000000 + i END", 1.1},
		"at random, on average": {"i * 1000 + abs(random() % 1000)", 1.2},
	} {
		const all = 20_000
		db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, n)",
			fmt.Sprintf("WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO t SELECT %s, 0 FROM c", all, c.id))
		table, err := lite.LoadTable(ctx, db, "t")
		must(t, err)
		lower, upper, err := table.Key.Bounds(ctx, db)
		must(t, err)
		w := Walked{Key: table.Key, Lower: lower, Upper: upper, Reader: db}

		for _, passed := range []int{100, all / 4, all * 9 / 10} {
			cp := walking(int64(passed), 1)
			passedBy, _, err := table.Key.Next(ctx, db, nil, upper, passed)
			must(t, err)
			cp.Total, cp.Cursor = 0, passedBy.End.Encode()
			r := measure(ctx, cp, w, 0)
			got := r.total(int64(passed), 0, passedBy.End)
			wrong := math.Abs(math.Log(float64(got-int64(passed)) / float64(all-passed)))
			if got <= 0 || wrong > math.Log(c.within) {
				t.Errorf("%s, after %d: %d rows in all, want about %d", name, passed, got, all)
			}
		}
	}
}
