package engine_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

var countUp = []jobs.Assign{{Column: "n", Expr: "n + 1"}}

// fill is a table of k rows with the odd declarations that a test is about: in what it
// returns, each %s of into stands for the number of a row.
func fill(create, into string, k int) []string {
	return []string{create, fmt.Sprintf("INSERT INTO t %s FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c)", into, k)}
}

// TestRefusedRows: a job that could not do each row once, and only the rows meant, is
// refused before anything is written, with an error that says what to do. Planted and
// caught, each where it belongs: no CheckArgs; no CheckMoves; no CheckReads; checkAll
// true; a key index not compared with its table.
func TestRefusedRows(t *testing.T) {
	plain := fill("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, v INT)", "(id, v) SELECT i, i % 7", 100)
	text := fill("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0, v INT)", "(id, v) SELECT printf('%04d', i), i % 7", 100)
	generated := fill("CREATE TABLE t (name TEXT NOT NULL, id TEXT AS (lower(name)) NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0)", "(name) SELECT printf('N%04d', i)", 100)
	with := func(schema []string, more ...string) []string { return append(append([]string{}, schema...), more...) }
	inc := func(where string, args ...any) jobs.Update {
		return jobs.Update{Name: "j", Table: "t", Set: countUp, Where: where, Args: args}
	}
	set := func(column, expr string) jobs.Update {
		return jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: column, Expr: expr}}}
	}
	for name, c := range map[string]struct {
		schema []string
		job    jobs.Job
		want   error
		says   string
	}{
		"an argument too many":                         {plain, inc("v = ?", 1, 2), engine.ErrFragment, "fewer ?"},
		"a numbered one too many":                      {plain, inc("v = ?1 AND n < ?1", 1, 2), engine.ErrFragment, "fewer ?"},
		"a named one too many":                         {plain, inc("v = :v", sql.Named("other", 7), sql.Named("v", 1)), engine.ErrFragment, "fewer ?"},
		"one that is only text":                        {plain, inc("'?' <> '' /* ? */", 1), engine.ErrFragment, "fewer ?"},
		"an argument too few":                          {plain, inc("v = ? AND n = ?", 1), engine.ErrFragment, "Args"},
		"an argument of no SQL type":                   {plain, inc("v = ?", struct{}{}), jobs.ErrSpec, "Args[0]"},
		"a query over the table":                       {plain, inc("v < (SELECT avg(v) FROM t)"), engine.ErrOwnWork, "table of their own"},
		"one through a view":                           {with(plain, "CREATE VIEW w AS SELECT * FROM t"), inc("v IN (SELECT v FROM w)"), engine.ErrOwnWork, "table of their own"},
		"one by an index":                              {with(plain, "CREATE INDEX t_v ON t (v)"), inc("v = (SELECT max(v) FROM t)"), engine.ErrOwnWork, "table of their own"},
		"one in a value":                               {plain, set("n", "(SELECT count(*) FROM t AS o WHERE o.v < t.v)"), engine.ErrOwnWork, "new value of n"},
		"one in a todo":                                {plain, jobs.Update{Name: "j", Table: "t", Set: countUp, Todo: "n < (SELECT count(*) FROM t)"}, engine.ErrOwnWork, "todo"},
		"one over what a trigger writes":               {with(plain, "CREATE TABLE log (n)", "CREATE TRIGGER l AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (1); END"), inc("(SELECT count(*) FROM log) < 50"), engine.ErrOwnWork, "triggers"},
		"an aggregate":                                 {plain, set("n", "count(*)"), engine.ErrFragment, "aggregate"},
		"a window":                                     {plain, set("n", "row_number() OVER (ORDER BY v)"), engine.ErrFragment, "window"},
		"a generated key":                              {generated, set("name", "upper(name)"), engine.ErrKeyMoves, "generated"},
		"a trigger that changes the key":               {with(text, "CREATE TRIGGER move AFTER UPDATE OF n ON t BEGIN UPDATE t SET id = 'x' || id WHERE id = new.id; END"), inc(""), engine.ErrKeyMoves, "trigger move"},
		"one that changes the rowid":                   {with(plain, "CREATE TRIGGER move AFTER UPDATE OF n ON t BEGIN UPDATE t SET id = id + 1000 WHERE id = new.id; END"), inc(""), engine.ErrKeyMoves, "trigger move"},
		"a trigger that adds rows":                     {with(text, "CREATE TRIGGER version AFTER UPDATE OF n ON t BEGIN INSERT INTO t (id, n) VALUES (old.id || '.' || old.n, -1); END"), inc(""), engine.ErrKeyMoves, "trigger version"},
		"one that gives them ids":                      {with(plain, "CREATE TRIGGER version AFTER UPDATE OF n ON t BEGIN INSERT INTO t (id, n) VALUES (-old.id, -1); END"), inc(""), engine.ErrKeyMoves, "trigger version"},
		"one on delete":                                {with(text, "CREATE TRIGGER grave BEFORE DELETE ON t BEGIN INSERT INTO t (id) VALUES ('z' || old.id); END"), jobs.Delete{Name: "j", Table: "t", Where: "v = 1"}, engine.ErrKeyMoves, "trigger grave"},
		"a trigger of a trigger":                       {with(text, "CREATE TABLE o (x)", "CREATE TRIGGER one AFTER UPDATE ON t BEGIN INSERT INTO o VALUES (new.id); END", "CREATE TRIGGER two AFTER INSERT ON o BEGIN INSERT INTO t (id) VALUES ('o' || new.x); END"), inc(""), engine.ErrKeyMoves, "trigger two"},
		"a key that refers to itself":                  {append(fill("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL REFERENCES t (v) ON UPDATE CASCADE, n INT NOT NULL DEFAULT 0, v TEXT UNIQUE)", "(id, v) SELECT i || '', i || ''", 100), "PRAGMA foreign_keys = ON"), set("v", "v || 'x'"), engine.ErrKeyMoves, "foreign key"},
		"a trigger that changes it, with foreign keys": {with(text, "PRAGMA foreign_keys = ON", "CREATE TRIGGER move AFTER UPDATE OF n ON t BEGIN UPDATE t SET id = 'x' || id WHERE id = new.id; END"), inc(""), engine.ErrKeyMoves, "trigger move"},
		"a TEMP trigger":                               {with(text, "CREATE TEMP TRIGGER version AFTER UPDATE OF n ON main.t BEGIN INSERT INTO t (id) VALUES ('x' || old.id); END"), inc(""), engine.ErrKeyMoves, "trigger version"},
		"all rows of a table without rowids":           {fill("CREATE TABLE t (id TEXT PRIMARY KEY, n INT DEFAULT 0) WITHOUT ROWID", "(id) SELECT printf('%04d', i)", 100), jobs.Delete{Name: "j", Table: "t"}, jobs.ErrSpec, `Where "1"`},
		"all rows where the rowid has no name":         {fill("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT DEFAULT 0, rowid, _rowid_, oid)", "(id) SELECT printf('%04d', i)", 100), jobs.Delete{Name: "j", Table: "t"}, jobs.ErrSpec, `Where "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, c.schema...)
			e := newEngine(t, db, sole)
			version := value(t, db, "PRAGMA schema_version")
			if _, err := e.Run(testContext(t), c.job); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Run: %v; want %v that says %q", err, c.want, c.says)
			}
			if err := e.Start(testContext(t), c.job); !errors.Is(err, c.want) {
				t.Errorf("Start: %v", err)
			}
			wantValue(t, db, "100", "SELECT count(*) FROM t WHERE n = 0")
			wantValue(t, db, version, "PRAGMA schema_version")
		})
	}
}

// valuer is an argument that says its value when it is asked.
type valuer int64

func (v valuer) Value() (driver.Value, error) { return int64(v), nil }

// TestAsOneStatement: a job does what the one statement would that it stands for. The
// tables and conditions are those that lead SQLite, or a reader of SQL, astray.
// Planted and caught: a table named without its schema; the condition as a term that
// the planner sees; a text with a NUL as a CAST; arguments bound before the job's; names
// compared as Unicode does.
func TestAsOneStatement(t *testing.T) {
	const rowid = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, v INT, s TEXT)"
	numbered := "(id, v, s) SELECT i, i % 7, 's' || i"
	inc := func(where string, args ...any) jobs.Update {
		return jobs.Update{Name: "j", Table: "t", Set: countUp, Where: where, Args: args}
	}
	three := 3
	for name, c := range map[string]struct {
		create, into string
		more         []string
		job          jobs.Job
		plain        string // without the table's schema
		args         []any
	}{
		"a condition on the rowid":            {rowid, numbered, nil, inc("id <= 200 AND rowid > 7"), "UPDATE main.t SET n = n + 1 WHERE id <= 200 AND id > 7", nil},
		"one row of it":                       {rowid, numbered, nil, inc("id = 77"), "UPDATE main.t SET n = n + 1 WHERE id = 77", nil},
		"the first column of the key":         {"CREATE TABLE t (a TEXT, id INT, n INT NOT NULL DEFAULT 0, PRIMARY KEY (a, id)) WITHOUT ROWID", "(a, id) SELECT 't' || i % 3, i", nil, inc("a = 't1'"), "UPDATE main.t SET n = n + 1 WHERE a = 't1'", nil},
		"later columns beyond ASCII":          {"CREATE TABLE t (a INT, id TEXT, n INT NOT NULL DEFAULT 0, PRIMARY KEY (a, id))", "(a, id) SELECT i % 2, printf('Zürich %05d', i)", nil, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"blobs in a text key":                 {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0)", "(id) SELECT iif(i % 2, CAST(printf('%05d', i) AS BLOB), printf('%05d', i))", nil, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"a TEMP table of the name":            {rowid, numbered, []string{"CREATE TEMP TABLE t AS SELECT id + 9 AS id, 0 AS n, 1 AS v FROM main.t"}, inc("v = 3"), "UPDATE main.t SET n = n + 1 WHERE v = 3", nil},
		"an attached table of the name":       {rowid, numbered, []string{"ATTACH ':memory:' AS other", "CREATE TABLE other.t AS SELECT * FROM main.t"}, inc("v = 3"), "UPDATE main.t SET n = n + 1 WHERE v = 3", nil},
		"a pointer and a Valuer":              {rowid, numbered, nil, inc("v = ? OR v = ?", &three, valuer(5)), "UPDATE main.t SET n = n + 1 WHERE v = 3 OR v = 5", nil},
		"named arguments":                     {rowid, numbered, nil, inc("v = :v AND id > @id", sql.Named("id", 20), sql.Named("v", 3)), "UPDATE main.t SET n = n + 1 WHERE v = 3 AND id > 20", nil},
		"a comment at the end":                {rowid, numbered, nil, inc("v = 3 -- no more"), "UPDATE main.t SET n = n + 1 WHERE v = 3", nil},
		"a guard before what would fail":      {rowid, "(id, v, s) SELECT i, i % 7, iif(i % 2, '{', '{\"a\": 1}')", nil, inc("json_valid(s) AND json_extract(s, '$.a') = 1"), "UPDATE main.t SET n = n + 1 WHERE id % 2 = 0", nil},
		"names that fold beyond ASCII":        {"CREATE TABLE t (k INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, \"\u017f\" INT, \"\u212a\" INT, S INT)", "(k, S) SELECT i, i", nil, jobs.Update{Name: "j", Table: "T", Set: []jobs.Assign{{Column: "\u212a", Expr: "1"}, {Column: "s", Expr: "2"}, {Column: "\u017f", Expr: "3"}}}, "UPDATE main.t SET \"\u212a\" = 1, s = 2, \"\u017f\" = 3", nil},
		"a column without a name":             {`CREATE TABLE t ("" TEXT NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0)`, `("") SELECT printf('%05d', i)`, nil, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"a key over expressions, and one not": {"CREATE TABLE t (id TEXT NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0, s TEXT)", "(id) SELECT printf('%05d', i)", []string{"CREATE UNIQUE INDEX t_e ON t (lower(id))"}, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"a trigger that touches the row":      {rowid, numbered, []string{"CREATE TRIGGER touch AFTER UPDATE OF n ON t BEGIN UPDATE t SET s = s || '.' WHERE id = new.id; END"}, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"one that adds rows with new ids":     {rowid, numbered, []string{"CREATE TRIGGER version AFTER UPDATE OF n ON t WHEN old.n = 0 BEGIN INSERT INTO t (n, v) VALUES (-5, old.id); END"}, inc("n = 0"), "UPDATE main.t SET n = n + 1 WHERE n = 0", nil},
		"a cascade to children that it asks":  {"CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0)", "(id) SELECT i", []string{"PRAGMA foreign_keys = ON", "CREATE TABLE child (t_id INT REFERENCES t ON DELETE CASCADE)", "INSERT INTO child SELECT id FROM main.t WHERE id % 3 = 0"}, jobs.Delete{Name: "j", Table: "t", Where: "id NOT IN (SELECT t_id FROM child)"}, "DELETE FROM main.t WHERE id % 3 <> 0", nil},
		"groups of rows in a key that turns":  {"CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, c TEXT NOT NULL, n INT NOT NULL DEFAULT 0, PRIMARY KEY (a, b DESC, c))", "(a, b, c) SELECT i % 2, i % 5, printf('%05d', i)", nil, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"integers that no float can tell":     {"CREATE TABLE t (id NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0)", "(id) SELECT iif(i % 2, 9007199254740992 + i, 9007199254740992.0 + 2 * i)", nil, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"infinities and zeros":                {"CREATE TABLE t (id REAL PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0)", "(id) SELECT CASE i WHEN 1 THEN 9e999 WHEN 2 THEN -9e999 WHEN 3 THEN -0.0 ELSE i * 1e300 END", nil, inc(""), "UPDATE main.t SET n = n + 1", nil},
		"texts that pass for numbers": {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0)", "(id) SELECT iif(i % 50 = 0, i || char(0) || 'x', printf('x%05d', i))", []string{
			"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = replace(sql, 'id TEXT', 'id STRING') WHERE name = 't'", "PRAGMA writable_schema = RESET", // as older versions of SQLite store them
			"INSERT INTO t (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) SELECT i FROM c"},
			inc(""), "UPDATE main.t SET n = n + 1", nil},
		"settings of a tester": {rowid, numbered, []string{"PRAGMA reverse_unordered_selects = ON", "PRAGMA recursive_triggers = ON", "PRAGMA automatic_index = OFF"}, inc("v > 2"), "UPDATE main.t SET n = n + 1 WHERE v > 2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			schema := append(fill(c.create, c.into, 1000), c.more...)
			one, job := open(t, schema...), open(t, schema...)
			mustExec(t, one, c.plain, c.args...)
			if _, err := newEngine(t, job, unhurried).Run(testContext(t), c.job); err != nil {
				t.Fatal(err)
			}
			if want, got := dump(t, one, "main.t"), dump(t, job, "main.t"); got != want {
				t.Errorf("the table is not as after %s", c.plain)
			}
			if strings.Contains(name, "TEMP") && dump(t, one, "temp.t") != dump(t, job, "temp.t") {
				t.Error("the TEMP table has changed")
			}
		})
	}
}

// dump is all of a table as text, whatever its columns.
func dump(t testing.TB, db *sql.DB, table string) string {
	t.Helper()
	rows, err := db.QueryContext(testContext(t), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			fmt.Fprintf(&b, "%T %[1]v|", *v.(*any))
		}
		b.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDeleteOfAllKeepsTheNew: rows that come while all rows are deleted stay, also when
// those that were the newest go meanwhile; when all of them have gone the job stops.
// Planted and caught: the first of the newest rows not looked for again; the newest
// rows not deleted at the end.
func TestDeleteOfAllKeepsTheNew(t *testing.T) {
	for _, c := range []struct {
		name   string
		delete string // by the application, of the newest of 1,000 rows
		want   error
		left   string
	}{
		{"none", "0", nil, "50"},
		{"the newest", "n = 1000", nil, "50"},
		{"all but one of those kept", "n > 985", nil, "50"},
		{"all of those kept", "n > 984", engine.ErrTableChanged, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t, fill("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT)", "SELECT hex(randomblob(8)), i", 1000)...)
			cfg := onBatch(func(n int) {
				if n == 2 {
					mustExec(t, db, "DELETE FROM t WHERE "+c.delete)
					mustExec(t, db, "INSERT INTO t SELECT hex(randomblob(8)), -1 FROM t LIMIT 50")
				}
			})
			_, err := newEngine(t, db, cfg).Run(testContext(t), jobs.Delete{Name: "j", Table: "t"})
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatal(err)
			}
			wantValue(t, db, "50", "SELECT count(*) FROM t WHERE n = -1")
			if c.left != "" {
				wantValue(t, db, c.left, "SELECT count(*) FROM t")
			}
		})
	}
}

// TestKeyIndexThatMissesRows: a walk by a damaged index would pass over rows in silence.
func TestKeyIndexThatMissesRows(t *testing.T) {
	db := open(t, fill("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0)", "(id) SELECT printf('%04d', i)", 500)...)
	for _, s := range []string{
		"CREATE TABLE other (id TEXT PRIMARY KEY NOT NULL)",
		"INSERT INTO other SELECT id FROM t WHERE n < 1 LIMIT 400",
		"PRAGMA writable_schema = ON",
		`UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_other_1') WHERE name = 'sqlite_autoindex_t_1'`,
		"PRAGMA writable_schema = RESET",
	} {
		mustExec(t, db, s)
	}
	_, err := newEngine(t, db, sole).Run(testContext(t), jobs.Update{Name: "j", Table: "t", Set: countUp})
	if !errors.Is(err, engine.ErrIndexMisses) || !strings.Contains(err.Error(), "500") || !strings.Contains(err.Error(), "400") {
		t.Error(err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM t NOT INDEXED WHERE n <> 0")
}

// TestNullKeysThatCome: rows whose key is NULL that come while a job runs cannot be
// walked; it does not say done. Once they have a key the job goes on to its end.
func TestNullKeysThatCome(t *testing.T) {
	for _, columns := range []string{"id TEXT, a INT DEFAULT 1, PRIMARY KEY (id)", "id TEXT, a INT DEFAULT 1, PRIMARY KEY (a, id)"} {
		db := open(t, "CREATE TABLE t (n INT NOT NULL DEFAULT 0, "+columns+")",
			"INSERT INTO t (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) SELECT printf('%04d', i) FROM c")
		cfg := onBatch(func(n int) {
			if n == 2 {
				mustExec(t, db, "INSERT INTO t (id) VALUES (NULL), (NULL)")
			}
		})
		job := jobs.Update{Name: "j", Table: "t", Set: countUp, Where: "n = 0", Todo: "n = 0"}
		result, err := newEngine(t, db, cfg).Run(testContext(t), job)
		if !errors.Is(err, engine.ErrNullKey) || !strings.Contains(err.Error(), "2 rows") || result.Phase != checkpoint.Failed {
			t.Errorf("%s: %s, %v", columns, result.Phase, err)
		}
		mustExec(t, db, "UPDATE t SET id = '0000' || rowid WHERE id IS NULL")
		if _, err := newEngine(t, db, sole).Run(testContext(t), job); err != nil {
			t.Errorf("%s, mended: %v", columns, err)
		}
		wantValue(t, db, "302", "SELECT count(*) FROM t WHERE n = 1")
	}
}
