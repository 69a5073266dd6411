package preview_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/preview"
)

var (
	tested int
	ends   context.CancelFunc
)

func init() {
	sqlite.MustRegisterScalarFunction("preview_never", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if tested++; tested == 500 {
			ends()
		}
		return int64(0), nil
	})
}

// open returns a table of 20,000 rows.
func open(t *testing.T) (*sql.DB, lite.Table) {
	t.Helper()
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, s := range []string{"CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
		"WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) INSERT INTO t SELECT 3 * i, CASE i WHEN 700 THEN '{' ELSE i END FROM c"} {
		if _, err := db.ExecContext(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	table, err := lite.LoadTable(ctx, db, "t")
	if err != nil {
		t.Fatal(err)
	}
	return db, table
}

// TestSearchEnds when its limit does, with what it has found, and says how far it has come.
// Planted and caught: the limit not passed on to the reads (which then never end).
func TestSearchEnds(t *testing.T) {
	db, table := open(t)
	s := preview.Search{Key: table.Key, Upper: lite.Pos{"60000"}, Where: "preview_never(v)", Want: 10, Read: 20_000}
	var limit context.Context
	limit, ends = context.WithCancel(context.Background())
	found, err := s.Run(context.Background(), limit, db)
	if err != nil || found.All || len(found.Rows) > 0 || found.Looked == 0 || tested > 5000 {
		t.Errorf("%+v, %v; the condition was tested on %d rows", found, err, tested)
	}

	slow, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	s.Where = "v < (WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c)"
	if found, err = s.Run(context.Background(), slow, db); err != nil || found.All || len(found.Rows) > 0 {
		t.Errorf("amid a row: %+v, %v", found, err)
	}

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Run(ended, ended, db); err == nil {
		t.Error("it goes on without its context")
	}
}

// TestSearchFinds the first rows, in order, also behind a cursor, and those on which the
// condition fails. Planted and caught: the search begun at the first row.
func TestSearchFinds(t *testing.T) {
	db, table := open(t)
	ctx := context.Background()
	s := preview.Search{Key: table.Key, Upper: lite.Pos{"60000"}, Where: "json_extract(v, '$') >= 698", Want: 4, Read: 5000}
	found, err := s.Run(ctx, ctx, db)
	if err != nil || len(found.Rows) != 4 || found.Rows[0].Pos[0] != "2094" || found.Rows[2].Pos[0] != "2100" || found.Rows[2].Err == nil || found.Rows[3].Err != nil {
		t.Errorf("%+v, %v", found, err)
	}

	s.From = lite.Pos{"59994"}
	if found, err = s.Run(ctx, ctx, db); err != nil || len(found.Rows) != 2 || !found.All {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestTime: a range that has room for what was measured, and never turns round.
func TestTime(t *testing.T) {
	w := preview.Work{Scanned: 1e6, Changed: 1e6, Scan: time.Second, Least: time.Microsecond, Most: 4 * time.Microsecond, WAL: 1 << 30, Hold: 20 * time.Millisecond}
	low, high := w.Time()
	if low < 2*time.Second || low > 4*time.Second || high < 2*low {
		t.Errorf("%v to %v", low, high)
	}
	polled := w
	polled.Polled = true
	if l, h := polled.Time(); l != low || h <= high {
		t.Errorf("with pauses %v to %v, without %v to %v", l, h, low, high)
	}
	capped := w
	capped.Rate = 1000
	if l, h := capped.Time(); l < 1000*time.Second || h < l {
		t.Errorf("at 1000 rows a second %v to %v", l, h)
	}
	huge := preview.Work{Changed: 1 << 62, Least: time.Hour, Most: time.Hour, Hold: time.Millisecond}
	if l, h := huge.Time(); l <= 0 || h < l {
		t.Errorf("%v to %v", l, h)
	}
}
