package engine_test

import (
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// TestCommonSchemas: triggers, views, cascades, names and keys that applications have are
// not refused, and the job does what the one statement would.
func TestCommonSchemas(t *testing.T) {
	const rowid = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, v INT, s TEXT, p INT)"
	into := "(id, v, s, p) SELECT i, i % 7, 's' || i, nullif(i-1, 0) "
	inc := func(where string, args ...any) jobs.Update {
		return jobs.Update{Name: "j", Table: "t", Set: countUp, Where: where, Args: args}
	}
	const up = "UPDATE main.t SET n = n + 1"
	for name, c := range map[string]struct {
		create, into string
		more         []string
		job          jobs.Job
		plain        string
	}{
		"updated_at":                         {rowid, into, []string{"CREATE TRIGGER u AFTER UPDATE ON t WHEN new.s IS old.s BEGIN UPDATE t SET s = s || '!' WHERE id = old.id; END"}, inc(""), up},
		"updated_at text":                    {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0, s TEXT)", "(id) SELECT printf('%05d', i)", []string{"CREATE TRIGGER u AFTER UPDATE ON t BEGIN UPDATE t SET s = 'x' WHERE id = old.id; END"}, inc(""), up},
		"updated_at norowid":                 {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0, s TEXT) WITHOUT ROWID", "(id) SELECT printf('%05d', i)", []string{"CREATE TRIGGER u AFTER UPDATE ON t BEGIN UPDATE t SET s = 'x' WHERE id = old.id; END"}, inc(""), up},
		"audit":                              {rowid, into, []string{"CREATE TABLE log (id INTEGER PRIMARY KEY, t_id, old, new)", "CREATE TRIGGER a AFTER UPDATE ON t BEGIN INSERT INTO log (t_id, old, new) VALUES (old.id, old.n, new.n); END"}, inc("v > 1"), up + " WHERE v > 1"},
		"fts external":                       {rowid, into, []string{"CREATE VIRTUAL TABLE f USING fts5(s, content='t', content_rowid='id')", "INSERT INTO f(f) VALUES ('rebuild')", "CREATE TRIGGER f1 AFTER UPDATE ON t BEGIN INSERT INTO f(f, rowid, s) VALUES ('delete', old.id, old.s); INSERT INTO f(rowid, s) VALUES (new.id, new.s); END"}, inc(""), up},
		"view over":                          {rowid, into, []string{"CREATE VIEW w AS SELECT * FROM t WHERE n > 0", "CREATE TRIGGER wi INSTEAD OF UPDATE ON w BEGIN UPDATE t SET s = new.s WHERE id = old.id; END"}, inc(""), up},
		"stored col":                         {"CREATE TABLE t (a INT, b INT, n INT NOT NULL DEFAULT 0, g INT AS (n * 2) STORED, PRIMARY KEY (a, b))", "(a, b) SELECT i % 3, i", nil, inc("a = 1 AND b > 10"), up + " WHERE a = 1 AND b > 10"},
		"key generated of unwritten":         {"CREATE TABLE t (a TEXT, n INT NOT NULL DEFAULT 0, g TEXT AS (lower(a)) STORED NOT NULL UNIQUE)", "(a) SELECT printf('A%05d', i)", nil, inc(""), up},
		"strict":                             {"CREATE TABLE t (id ANY PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0) STRICT", "(id) SELECT CASE i % 3 WHEN 0 THEN i WHEN 1 THEN 't' || i ELSE CAST('b' || i AS BLOB) END", nil, inc(""), up},
		"nocase":                             {"CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0)", "(id) SELECT iif(i % 2, 'a', 'B') || i || 'Ä'", nil, inc("id = 'A7Ä'"), up + " WHERE id = 'A7Ä'"},
		"rtrim composite":                    {"CREATE TABLE t (a TEXT COLLATE RTRIM, b TEXT COLLATE NOCASE, n INT NOT NULL DEFAULT 0, PRIMARY KEY (a, b DESC))", "(a, b) SELECT substr('     ', 1, i % 5) || char(65 + i % 3) || substr('     ', 1, i % 4), 'k' || i", nil, inc(""), up},
		"mixed types":                        {"CREATE TABLE t (id NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0)", "(id) SELECT CASE i % 5 WHEN 0 THEN i WHEN 1 THEN i + 0.5 WHEN 2 THEN 't' || char(0) || i WHEN 3 THEN CAST(i AS BLOB) ELSE -i * 1e15 END", nil, inc(""), up},
		"big ints REAL":                      {"CREATE TABLE t (id REAL PRIMARY KEY NOT NULL, n INT NOT NULL DEFAULT 0)", "(id) SELECT 9007199254740992 + i * 2", nil, inc(""), up},
		"names main temp":                    {`CREATE TABLE t (main INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, temp INT, "a.b""c" INT, rowid TEXT, oid INT)`, `(main, temp, "a.b""c", rowid) SELECT i, i, i % 9, 'z' || -i`, nil, inc(`"a.b""c" = 3 AND temp > 5 AND rowid > 'z'`), up + ` WHERE "a.b""c" = 3 AND temp > 5 AND rowid > 'z'`},
		"repeated ?1":                        {rowid, into, nil, inc("v = ?1 OR p = ?1 OR v = ?2", 3, 5), up + " WHERE v = 3 OR p = 3 OR v = 5"},
		"set null self, text":                {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES t ON DELETE SET NULL, n INT NOT NULL DEFAULT 0)", "(id, p) SELECT i || '', nullif(i / 10, 0) || ''", []string{"PRAGMA foreign_keys = ON"}, jobs.Delete{Name: "j", Table: "t", Where: "id LIKE '%7'"}, "DELETE FROM main.t WHERE id LIKE '%7'"},
		"set null self, integer":             {"CREATE TABLE t (id INTEGER PRIMARY KEY, p INT REFERENCES t ON DELETE SET NULL, n INT NOT NULL DEFAULT 0)", "(id, p) SELECT i, nullif(i / 10, 0)", []string{"PRAGMA foreign_keys = ON"}, jobs.Delete{Name: "j", Table: "t", Where: "id % 10 = 7"}, "DELETE FROM main.t WHERE id % 10 = 7"},
		"set null self, no rowid":            {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES t ON DELETE SET NULL, n INT NOT NULL DEFAULT 0) WITHOUT ROWID", "(id, p) SELECT i || '', nullif(i / 10, 0) || ''", []string{"PRAGMA foreign_keys = ON"}, jobs.Delete{Name: "j", Table: "t", Where: "id LIKE '%7'"}, "DELETE FROM main.t WHERE id LIKE '%7'"},
		"set default self":                   {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT DEFAULT '1' REFERENCES t ON DELETE SET DEFAULT, n INT NOT NULL DEFAULT 0)", "(id, p) SELECT i || '', nullif(i / 10, 0) || ''", []string{"PRAGMA foreign_keys = ON"}, jobs.Delete{Name: "j", Table: "t", Where: "id LIKE '%7'"}, "DELETE FROM main.t WHERE id LIKE '%7'"},
		"trigger sets what refers":           {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES t, n INT NOT NULL DEFAULT 0)", "(id, p) SELECT i || '', nullif(i / 10, 0) || ''", []string{"PRAGMA foreign_keys = ON", "CREATE TRIGGER r AFTER UPDATE OF n ON t BEGIN UPDATE t SET p = NULL WHERE id = new.id; END"}, inc(""), up + ", p = NULL"},
		"trigger sets what refers, no rowid": {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES t, n INT NOT NULL DEFAULT 0) WITHOUT ROWID", "(id, p) SELECT i || '', nullif(i / 10, 0) || ''", []string{"PRAGMA foreign_keys = ON", "CREATE TRIGGER r AFTER UPDATE OF n ON t BEGIN UPDATE t SET p = NULL WHERE id = new.id; END"}, inc(""), up + ", p = NULL"},
		"cascade self delete":                {"CREATE TABLE t (id INTEGER PRIMARY KEY, p INT REFERENCES t ON DELETE CASCADE, n INT NOT NULL DEFAULT 0)", "(id, p) SELECT i, nullif(i / 10, 0)", []string{"PRAGMA foreign_keys = ON", "CREATE INDEX tp ON t (p)"}, jobs.Delete{Name: "j", Table: "t", Where: "id % 50 = 7"}, "DELETE FROM main.t WHERE id % 50 = 7"},
		"fk on update unrelated":             {"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES t ON UPDATE CASCADE, n INT NOT NULL DEFAULT 0)", "(id) SELECT i || ''", []string{"PRAGMA foreign_keys = ON", "CREATE TABLE c (x TEXT REFERENCES t ON UPDATE CASCADE ON DELETE CASCADE)"}, inc(""), up},
		"other table subquery":               {rowid, into, []string{"CREATE TABLE o (x INT)", "INSERT INTO o VALUES (2), (4)"}, inc("EXISTS (WITH q AS (SELECT x, row_number() OVER (ORDER BY x) r FROM o) SELECT 1 FROM q WHERE q.x = t.v) OR (v, 1) IN (VALUES (6, 1))"), up + " WHERE v IN (2, 4, 6)"},
		"trigger counts log":                 {rowid, into, []string{"CREATE TABLE st (k PRIMARY KEY, c INT)", "INSERT INTO st VALUES (1, 0)", "CREATE TRIGGER k AFTER UPDATE ON t BEGIN UPDATE st SET c = (SELECT count(*) FROM t WHERE id = new.id); END"}, inc(""), up},
		"partial unique":                     {"CREATE TABLE t (id TEXT NOT NULL, n INT NOT NULL DEFAULT 0, UNIQUE (id))", "(id) SELECT hex(i)", []string{"CREATE UNIQUE INDEX pp ON t (id) WHERE n > 5", "CREATE INDEX ex ON t (n + 1) WHERE n = 0", "ANALYZE", "UPDATE sqlite_stat1 SET stat = '1000000 1'", "ANALYZE sqlite_schema"}, inc("n = 0"), up + " WHERE n = 0"},
	} {
		t.Run(name, func(t *testing.T) {
			schema := append(fill(c.create, c.into, 600), c.more...)
			one, job := open(t, schema...), open(t, schema...)
			mustExec(t, one, c.plain)
			if _, err := newEngine(t, job, unhurried).Run(testContext(t), c.job); err != nil {
				t.Fatal(err)
			}
			if dump(t, one, "main.t") != dump(t, job, "main.t") {
				t.Errorf("the table is not as after %s", c.plain)
			}
		})
	}
}
