package engine_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// looked is a table whose rows break what a new shape may ask, and 600 others.
const looked = `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n, c TEXT COLLATE NOCASE, g AS (coalesce(n, 'none')), CHECK (id > 0));
	WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 600) INSERT INTO t SELECT 10 * i, 'v' || i, i, 'c' || i FROM i;
	UPDATE t SET v = NULL WHERE id IN (20, 5990); UPDATE t SET v = 'v1' WHERE id = 4000; UPDATE t SET c = upper(c) WHERE id = 30;
	UPDATE t SET c = 'c3', n = 2.0 WHERE id = 2000; UPDATE t SET n = 'x' WHERE id IN (70, 80, 90, 100, 110, 120); UPDATE t SET n = '12' WHERE id = 50`

// TestRowsThatANewShapeDoesNotAllow are counted and shown before anything is made, each with its key. Planted
// and caught: rows judged by the table as it is (no affinity), a piece of the table left out, a
// CHECK that holds for NULL counted, and keys shown of one piece alone.
func TestRowsThatANewShapeDoesNotAllow(t *testing.T) {
	for i, c := range []struct {
		columns string
		set     []jobs.Assign
		want    []string // nil if the job begins
	}{
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT", nil, nil},
		{"id INTEGER PRIMARY KEY, v TEXT NOT NULL, n, c TEXT", nil, []string{"v is NOT NULL in the new shape and NULL in 2 of the rows, such as (20), (5990)"}},
		{"id INTEGER PRIMARY KEY, v TEXT NOT NULL, n, c TEXT", []jobs.Assign{{Column: "v", Expr: "coalesce(v, '')"}}, nil},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, new INTEGER NOT NULL", nil, []string{"new is NOT NULL in the new shape and NULL in 600 of the rows, such as (10), (20)"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, new INTEGER NOT NULL DEFAULT -1.5", nil, nil},
		{"id INTEGER PRIMARY KEY, v TEXT UNIQUE, n, c TEXT", nil, []string{"UNIQUE (v) does not hold: 2 of the rows share 1 values, such as 'v1' in (10) and (4000)"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT COLLATE NOCASE, UNIQUE (c)", nil, []string{"UNIQUE (c) does not hold: 2 of the rows share 1 values, such as 'C3' in (2000) and (30)"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, UNIQUE (c)", nil, nil},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, UNIQUE (v, id)", nil, nil},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT); CREATE UNIQUE INDEX u ON t (lower(v)) WHERE (id > 10", nil, nil},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT); CREATE UNIQUE INDEX u ON t (lower(v)) WHERE (id < 5000", nil, []string{"UNIQUE (lower(v)) does not hold"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, CHECK (v <> 'v3' OR n > 'w')", nil, []string{"CHECK (v <> 'v3' OR n > 'w') does not hold for 1 of the rows, such as (30)"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, CONSTRAINT x CHECK(id>0)", nil, nil},
		{"id INTEGER PRIMARY KEY CHECK (id < 5900), v TEXT, n, c TEXT", nil, []string{"does not hold for 11 of the rows, such as (5900), (5910), (5920), (5930), (5940); change"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n INT, c TEXT) STRICT; CREATE INDEX x ON t (v", []jobs.Assign{{Column: "n", Expr: "n"}},
			[]string{"n is of type INT in a STRICT table, and 6 of its values are of another, such as 'x' in (70), 'x' in (80)"}},
		{"id INTEGER PRIMARY KEY, v ANY, n ANY, c TEXT) STRICT; CREATE INDEX x ON t (v", nil, nil},
		{"id INTEGER PRIMARY KEY, v TEXT, n INTEGER, c TEXT", nil, []string{"2 values of n, such as '12' in (50), 2.0 in (2000), would be changed"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n INTEGER CHECK (typeof(n) <> 'integer' OR n <> 12), c TEXT", []jobs.Assign{{Column: "n", Expr: "n"}}, []string{"CHECK (typeof(n) <> 'integer' OR n <> 12) does not hold for 1 of the rows, such as (50)"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT, g AS (n || 'x') NOT NULL, h AS (CASE v WHEN 'v9' THEN NULL ELSE 1 END) NOT NULL", nil, []string{"h is NOT NULL in the new shape and NULL in 1 of the rows, such as (90)"}},
		{"id INTEGER PRIMARY KEY, v TEXT NOT NULL, n TEXT UNIQUE CHECK (n <> '7'), c TEXT", []jobs.Assign{{Column: "n", Expr: "json_extract(CASE id WHEN 300 THEN 'no' ELSE '1' END, '$')"}},
			[]string{"an expression fails on 1 of the rows, such as (300): ", "malformed JSON", "v is NOT NULL", "599 of the rows share 1 values"}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT", []jobs.Assign{{Column: "n", Expr: "json_extract(CASE id WHEN 300 THEN 'no' ELSE '1' END, '$')"}}, []string{"an expression fails on 1 of the rows, such as (300): "}},
		{"id INTEGER PRIMARY KEY, v TEXT, n, c TEXT); CREATE INDEX x ON t (json_extract(n, '$.x')", nil, []string{"an expression fails on 6 of the rows, such as (70), (80), (90), (100), (110): "}},
	} {
		t.Run(fmt.Sprint(i, " ", c.columns), func(t *testing.T) {
			db := rebuildDB(t, looked)
			eng, err := engine.New(db, engine.Config{SoleProcess: true})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			_, err = eng.Run(testContext(t), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (" + c.columns + ")", Set: c.set})
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			for _, want := range c.want {
				if !errors.Is(err, engine.ErrShape) || !strings.Contains(err.Error(), want) {
					t.Errorf("%v,\nwant %q", err, want)
				}
			}
			if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%' OR name LIKE '%async_migration_jobs'"); got != "0" {
				t.Errorf("%s things of ours are left", got)
			}
		})
	}
}

// TestLookAtAKeyOfTwoColumns: of a table without a rowid.
func TestLookAtAKeyOfTwoColumns(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE t (a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
		WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 900) INSERT INTO t SELECT 'k' || (i % 7), i, nullif(i, 800) FROM i`)
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, err = eng.Run(testContext(t), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (a TEXT, b INTEGER, v NOT NULL CHECK (v < 899), PRIMARY KEY (a, b)) WITHOUT ROWID"})
	for _, want := range []string{"NULL in 1 of the rows, such as ('k2', 800);", "does not hold for 2 of the rows, such as ('k3', 899), ('k4', 900);"} {
		if !errors.Is(err, engine.ErrShape) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestIndexThatFailsOnARow is refused in all ways of making it, and long values are cut.
func TestIndexThatFailsOnARow(t *testing.T) {
	db := rebuildDB(t, looked+"; UPDATE t SET v = printf('%.*c', 100000, 'v'), c = printf('%.*c', 100000, 'c') WHERE id IN (10, 20)")
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	for create, want := range map[string]string{
		"CREATE INDEX x ON t (json_extract(n, '$.x'))":                         "an expression fails on 6 of the rows, such as (70)",
		"CREATE INDEX x ON t (v) WHERE json_extract(n, '$.x') > 1":             "an expression fails on 6 of the rows, such as (70)",
		"CREATE UNIQUE INDEX x ON t (json_extract(n, '$.x'), id)":              "an expression fails on 6 of the rows, such as (70)",
		"CREATE UNIQUE INDEX x ON t (v)":                                       "vvv'… in (10) and (20)",
		"CREATE UNIQUE INDEX x ON t (coalesce(v, 'v7'), c COLLATE NOCASE)":     "2 of the rows share 1 values, such as 'vvv",
		"CREATE UNIQUE INDEX x ON t (c COLLATE NOCASE, n) WHERE c LIKE 'c30%'": "",
	} {
		for _, twin := range []bool{false, true} {
			_, err := eng.DryRun(testContext(t), jobs.Index{Name: "x", Table: "t", Create: create, Twin: twin})
			if text := fmt.Sprint(err); want == "" && err != nil || want != "" && !errors.Is(err, engine.ErrRowsBreakShape) || !strings.Contains(text, want) && want != "" || len(text) > 600 {
				t.Errorf("%s, %t: %v", create, twin, err)
			}
		}
	}
}

// TestNewValuesForWhatIsReferredTo: the children would keep the old ones, also where they refer to the PRIMARY KEY without
// naming it. Planted and caught: only columns that are named.
func TestNewValuesForWhatIsReferredTo(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE); CREATE TABLE child (x TEXT REFERENCES t (v) ON UPDATE CASCADE);
		INSERT INTO t VALUES (1, 'a'); INSERT INTO child VALUES ('a')`)
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, err = eng.Run(testContext(t), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)", Set: []jobs.Assign{{Column: "v", Expr: "upper(v)"}}})
	if !errors.Is(err, engine.ErrShape) || !strings.Contains(err.Error(), "column v is what the foreign key child.x refers to") {
		t.Error(err)
	}

	mustExec(t, db, "CREATE TABLE u (a INT PRIMARY KEY NOT NULL, b INT UNIQUE NOT NULL); CREATE TABLE of_u (x REFERENCES u); INSERT INTO u VALUES (1, 1); INSERT INTO of_u VALUES (1)")
	_, err = eng.Run(testContext(t), jobs.Rebuild{Name: "r", Table: "u", Schema: "CREATE TABLE u (a INT PRIMARY KEY NOT NULL, b INT UNIQUE NOT NULL)", Set: []jobs.Assign{{Column: "a", Expr: "a + 1"}}})
	if !errors.Is(err, engine.ErrShape) || !strings.Contains(err.Error(), "column a is what the foreign key of_u.x refers to") {
		t.Error(err)
	}
}

// TestDefensiveMode: where the connection may not write its schema, nothing begins. Planted and caught: the
// rehearsal without the swap.
func TestDefensiveMode(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(wal)&_defensive=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 2)", "PRAGMA writable_schema = ON"} {
		mustExec(t, db, statement)
	}
	if _, err := db.Exec("UPDATE sqlite_schema SET sql = sql WHERE 0"); err == nil {
		t.Skip("this driver does not know _defensive")
	}
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	for _, job := range []jobs.Job{
		jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"},
		jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (v)"},
		jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (v)", Twin: true},
	} {
		if _, err := eng.Run(testContext(t), job); !errors.Is(err, engine.ErrShape) || !strings.Contains(fmt.Sprint(err), "is in defensive mode") {
			t.Errorf("%T: %v", job, err)
		}
	}
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%' OR name LIKE '%migration%'")
}

// writesMade counts those of TestLookInMemory; lookedAfter is how many there had been when a row was looked at,
// first and last.
var (
	writesMade  atomic.Int64
	lookedAfter [2]atomic.Int64
)

func init() {
	sqlite.MustRegisterScalarFunction("test_look", 1, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		lookedAfter[0].CompareAndSwap(-1, writesMade.Load())
		lookedAfter[1].Store(writesMade.Load())
		return int64(1), nil
	})
}

// TestLookInMemory: there is one connection, which live writes get in between. Planted and caught: the
// connection kept for the whole look.
func TestLookInMemory(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	mustExec(t, db, looked)
	mustExec(t, db, "WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 20000) INSERT INTO t SELECT 10000 + i, 'w' || i, i, 'd' || i FROM i")
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()

	lookedAfter[0].Store(-1)
	done := make(chan error, 1)
	go func() {
		_, err := eng.DryRun(testContext(t), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL, n, c TEXT CHECK (test_look(c)))"})
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if n := lookedAfter[1].Load() - lookedAfter[0].Load(); !errors.Is(err, engine.ErrRowsBreakShape) || n < 3 {
				t.Errorf("%v, %d live writes between the first row and the last", err, n)
			}
			wantValue(t, db, "0", "SELECT count(*) FROM sqlite_temp_schema")
			return
		default:
			mustExec(t, db, "UPDATE t SET n = n WHERE id = 10")
			writesMade.Add(1)
		}
	}
}
