package engine_test

import "github.com/chunkfill/chunkfill/jobs"

var odds = []odd{
	{
		name: "numbers with gaps",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v); ` + to300 + `INSERT INTO t SELECT i, i FROM n; DELETE FROM t WHERE id > 290;
			CREATE TABLE issued (id INTEGER PRIMARY KEY); CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO issued VALUES (NEW.id); END`,
		after:  `CREATE TABLE t (v, id INTEGER PRIMARY KEY AUTOINCREMENT)`,
		writes: []string{"INSERT INTO t (v) VALUES (%d)", "DELETE FROM t WHERE id = (SELECT max(id) FROM t)"},
		ends:   map[string]string{"SELECT min(id) FROM issued": "301", "SELECT count(*) FROM sqlite_sequence WHERE name = 't'": "1"},
	},
	{
		name:   "numbers that begin",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, v); ` + to300 + `INSERT INTO t SELECT i, i FROM n`,
		after:  `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v)`,
		writes: []string{"INSERT INTO t (v) VALUES (%d)"},
		ends:   map[string]string{"SELECT seq = (SELECT max(id) FROM t) FROM sqlite_sequence WHERE name = 't'": "1"},
	},
	{
		name:   "numbers that end",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v); ` + to300 + `INSERT INTO t SELECT i, i FROM n`,
		after:  `CREATE TABLE t (id INTEGER PRIMARY KEY, v)`,
		writes: []string{"INSERT INTO t (v) VALUES (%d)"},
		ends:   map[string]string{"SELECT count(*) FROM sqlite_sequence": "0"},
	},
	{
		name: "a key of text, without rowid, and hidden columns",
		before: `CREATE TABLE t (a TEXT COLLATE NOCASE, b INTEGER, g AS (a || b), s TEXT AS (upper(a)) STORED, v BLOB, PRIMARY KEY (a, b DESC)) WITHOUT ROWID;
			CREATE UNIQUE INDEX t_g ON t (g, s DESC); CREATE INDEX t_v ON t (v) WHERE v IS NOT NULL; ` + to300 + `INSERT INTO t (a, b, v) SELECT 'k' || i, i, zeroblob(i) FROM n`,
		after:  `CREATE TABLE t (v BLOB, b INTEGER, a TEXT COLLATE NOCASE, g AS (a || b) STORED, s TEXT AS (upper(a)), h AS (length(v)), PRIMARY KEY (a, b DESC)) WITHOUT ROWID`,
		writes: []string{"INSERT INTO t (a, b, v) VALUES ('Live%d', %d, NULL)", "UPDATE t SET a = upper(a) WHERE b = %d", "UPDATE OR REPLACE t SET b = b + 1 WHERE a = 'k%d'"},
	},
	{
		name: "a key of four, as a UNIQUE",
		before: `CREATE TABLE t (a TEXT NOT NULL, b INTEGER NOT NULL, c REAL NOT NULL, d BLOB NOT NULL, v, UNIQUE (d, c, b, a)); ` + to300 +
			`INSERT INTO t SELECT 'x', i % 7, i / 3.0, randomblob(3), i FROM n`,
		after:  `CREATE TABLE t (d BLOB NOT NULL, c REAL NOT NULL, b INTEGER NOT NULL, a TEXT NOT NULL, v, UNIQUE (d, c, b, a))`,
		writes: []string{"INSERT INTO t VALUES ('y%d', %d, %d, x'00', NULL)", "UPDATE t SET c = c + 1000 WHERE v = %d"},
	},
	{
		name: "indexes of all kinds",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b, c); CREATE INDEX "i part" ON t (a) WHERE b > 1; CREATE INDEX i_desc ON "t" (a DESC, b ASC); CREATE INDEX IF NOT EXISTS i_nocase ON [t] (a COLLATE NOCASE, c COLLATE "RTRIM");
			CREATE UNIQUE INDEX i_expr ON t (lower(a), b + id, json_array(c, 'x,y') /* a, comment */); CREATE INDEX i_like ON t (a COLLATE NOCASE) WHERE a LIKE 'x%' AND c IN (1, 2); ` + to300 + `INSERT INTO t SELECT i, 'A' || i, i, i % 3 FROM n; ANALYZE`,
		after:  `CREATE TABLE t (c, b, a TEXT, id INTEGER PRIMARY KEY); CREATE INDEX i_desc ON t (a DESC, b DESC, c)`,
		writes: []string{"INSERT OR REPLACE INTO t (a, b, c) VALUES ('x%d', %d, 1)", "UPDATE t SET c = 2 WHERE id = %d"},
		once:   "ANALYZE",
		ends:   map[string]string{"SELECT group_concat(idx, ' ') FROM (SELECT idx FROM sqlite_stat1 WHERE tbl = 't' ORDER BY idx)": "i part i_desc i_expr i_like i_nocase"},
	},
	{
		name: "constraints with all that may be said",
		before: `CREATE TABLE t (id INTEGER CONSTRAINT "p,k" PRIMARY KEY ON CONFLICT ABORT, a TEXT CONSTRAINT nn NOT NULL ON CONFLICT REPLACE DEFAULT ('d,' || 1), b UNIQUE ON CONFLICT IGNORE COLLATE RTRIM, c CHECK (c IN (1, 2, ')')), -- a comment, with a comma
			/* and ) another */ CONSTRAINT ch CHECK (length(a) < 100 /* ( */)); ` + to300 + `INSERT INTO t SELECT i, 'a', i, 1 FROM n`,
		after: `CREATE TABLE t (id INTEGER CONSTRAINT "p,k" PRIMARY KEY ON CONFLICT ABORT, -- one, two
			a TEXT CONSTRAINT nn NOT NULL ON CONFLICT REPLACE DEFAULT ('d,' || 1), b UNIQUE ON CONFLICT REPLACE COLLATE NOCASE, /* three) */ c CHECK (c IN (1, 2, ')')), CONSTRAINT ch CHECK (length(a) < 200)) -- end`,
		writes: []string{"INSERT INTO t (a, b, c) VALUES (NULL, %d, 2)", "INSERT INTO t (a, b, c) VALUES (NULL, 'L%d', ')')"},
	},
	{
		name:   "strict",
		before: `CREATE TABLE t (id INT PRIMARY KEY NOT NULL, a ANY, b TEXT, c BLOB, d REAL) STRICT; ` + to300 + `INSERT INTO t SELECT i, CASE i % 4 WHEN 0 THEN '0' || i WHEN 1 THEN i WHEN 2 THEN i / 2.0 ELSE x'00ff' END, i, zeroblob(3), i FROM n`,
		after:  `CREATE TABLE t (id INT PRIMARY KEY NOT NULL, a ANY, b ANY, c ANY, d ANY) WITHOUT ROWID, STRICT`,
		writes: []string{"INSERT INTO t VALUES (1000 + %d, '007', '008', x'', 3)", "UPDATE t SET d = d + 0.5 WHERE id = %d"},
	},
	{
		name: "views and triggers all around",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE TABLE log (what, id); CREATE TABLE feeds (x);
			CREATE VIEW v AS SELECT id, a FROM t WHERE b > 3; CREATE VIEW vv (x, y) AS SELECT v.id, t.a FROM v JOIN t USING (id);
			CREATE TRIGGER v_ii INSTEAD OF INSERT ON v BEGIN INSERT INTO t (a, b) VALUES (NEW.a, 4); END;
			CREATE TRIGGER vv_iu INSTEAD OF UPDATE OF y ON vv BEGIN UPDATE t SET a = NEW.y WHERE id = OLD.x; END;
			CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO log SELECT 'i', NEW.id; END;
			CREATE TRIGGER t_bd BEFORE DELETE ON "t" WHEN OLD.b > 3 BEGIN INSERT INTO log SELECT 'd', OLD.id; END;
			CREATE TRIGGER t_au AFTER UPDATE OF a ON t BEGIN UPDATE t SET b = b + 1 WHERE id = NEW.id; END;
			CREATE TRIGGER feeds_ai AFTER INSERT ON feeds BEGIN INSERT INTO t (a) VALUES (NEW.x); UPDATE t SET b = 9 WHERE a = NEW.x; DELETE FROM t WHERE a = NEW.x - 1; END;
			` + to300 + `INSERT INTO t SELECT i, i, i % 9 FROM n`,
		after:  `CREATE TABLE t (b, a, id INTEGER PRIMARY KEY)`,
		writes: []string{"INSERT INTO v (a) VALUES ('view%d')", "UPDATE vv SET y = 'vv%d' WHERE x = %d", "INSERT INTO feeds VALUES (%d)", "DELETE FROM t WHERE id = %d - 5"},
		reads:  []string{"SELECT count(*) = (SELECT count(*) FROM _chunkfill_old_t WHERE b > 3) FROM v", "SELECT count(*) = (SELECT count(*) FROM _chunkfill_old_t WHERE b > 3) FROM vv"},
		ends:   map[string]string{"SELECT count(*) > 10 FROM log WHERE what = 'd'": "1", "SELECT count(*) FROM log WHERE what = 'd' AND id > 400": "0"},
	},
	{
		name: "foreign keys to itself, and mutual",
		before: `CREATE TABLE o (id INTEGER PRIMARY KEY, t REFERENCES t ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
			CREATE TABLE t (id INTEGER PRIMARY KEY, up INTEGER CONSTRAINT self REFERENCES T (id) ON DELETE CASCADE, o INTEGER, v, FOREIGN KEY (o) REFERENCES o ON DELETE SET DEFAULT MATCH FULL NOT DEFERRABLE, CHECK (v <> 'references'));
			CREATE TABLE c (a, b REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE); ` + to300 + `INSERT INTO t SELECT i, nullif(i - 1, 0) / 2, NULL, i FROM n WHERE i < 2; ` + to300 + `INSERT INTO t SELECT i, i / 2, NULL, i FROM n WHERE i > 1;
			INSERT INTO o SELECT id, id FROM t; UPDATE t SET o = id; INSERT INTO c SELECT id, id FROM t`,
		after:  `CREATE TABLE t (v, o INTEGER, up INTEGER CONSTRAINT self REFERENCES T (id) ON DELETE CASCADE, id INTEGER PRIMARY KEY, CHECK (v <> 'references') CONSTRAINT k FOREIGN KEY (o) REFERENCES o ON DELETE SET DEFAULT MATCH FULL NOT DEFERRABLE)`,
		writes: []string{"DELETE FROM t WHERE id = 300 - 2 * %d", "UPDATE t SET id = 1000 + %d WHERE id = 299 - 2 * %d AND id > 150", "INSERT INTO t (id, up, o, v) VALUES (5000 + %d, 1, 1, 'x')", "INSERT INTO c VALUES (1, 5000 + %d)"},
		reads:  []string{"SELECT count(*) > 100 FROM c"},
	},
	{
		name:  "names that have to be quoted",
		table: "order",
		before: `CREATE TABLE "order" ("select" INTEGER PRIMARY KEY, "a""b" TEXT UNIQUE, "c d", "e.f", 'g''h', [i j], ` + "`k``l`" + `, "ключ", "new", "old", "rowid", "_chunkfill_x", "from" REFERENCES "order" ("select"));
			CREATE INDEX "where" ON "order" ("c d", "ключ" DESC) WHERE "e.f" IS NOT NULL; CREATE UNIQUE INDEX "group.by" ON "order" ("a""b" || "select"); CREATE VIEW "table" AS SELECT "select", "a""b" FROM "order";
			CREATE TRIGGER "trigger" AFTER UPDATE OF "c d" ON "order" BEGIN UPDATE "order" SET "e.f" = NEW."new" WHERE "select" = NEW."select"; END; ` + to300 + `INSERT INTO "order" ("select", "a""b", "new", "old", "rowid") SELECT i, i, i, i, i FROM n`,
		after:  `CREATE TABLE [order] ("a""b" TEXT UNIQUE, "c d", "e.f", 'g''h', [i j], ` + "`k``l`" + `, "ключ" DEFAULT 'да', "new", "old", "rowid", "_chunkfill_x", "from" REFERENCES "order" ("select"), "select" INTEGER PRIMARY KEY, "references", "constraint", "foreign")`,
		writes: []string{`UPDATE "order" SET "c d" = %d WHERE "select" = %d`, `INSERT OR REPLACE INTO "order" ("a""b", "new") VALUES (%d, 'n')`, `INSERT OR REPLACE INTO "order" ("a""b", "from") VALUES ('x', %d % 100 + 100)`},
		reads:  []string{`SELECT count(*) = (SELECT count(*) FROM "table") FROM "order"`},
	},
	{
		name:   "a table called new",
		table:  "NEW",
		before: `CREATE TABLE new (id INTEGER PRIMARY KEY, a UNIQUE, "old"); CREATE UNIQUE INDEX new_x ON new (lower(a), "old"); ` + to300 + `INSERT INTO new SELECT i, i, i FROM n`,
		after:  `CREATE TABLE new ("old", a UNIQUE, id INTEGER PRIMARY KEY)`,
		writes: []string{"INSERT OR REPLACE INTO new (a) VALUES (%d)"},
	},
	{
		name:   "a name with wildcards and quotes",
		table:  `x%_'"y.z é`,
		before: `CREATE TABLE "x%_'""y.z é" (id INTEGER PRIMARY KEY, a UNIQUE); CREATE INDEX "x%_'""y.z é'" ON "x%_'""y.z é" (a, id); CREATE TABLE "xAB'""y.z é" (a); ` + to300 + `INSERT INTO "x%_'""y.z é" SELECT i, i FROM n`,
		after:  `CREATE TABLE "x%_'""y.z é" (a UNIQUE, id INTEGER PRIMARY KEY)`,
		writes: []string{`INSERT INTO "x%_'""y.z é" (a) VALUES ('l%d')`},
	},
	{
		name:   "a table made with another case",
		table:  "t",
		before: `CREATE TABLE T (Id INTEGER PRIMARY KEY, V UNIQUE); CREATE INDEX T_v ON t (v, ID); CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END; CREATE TABLE c (x REFERENCES t); ` + to300 + `INSERT INTO t SELECT i, i FROM n`,
		after:  `CREATE TABLE t (v UNIQUE, id INTEGER PRIMARY KEY)`,
		writes: []string{`INSERT INTO t (v) VALUES ('l%d')`},
	},
	{
		name: "full text that takes its content from the table",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, title TEXT, body TEXT); CREATE VIRTUAL TABLE f USING fts5 (title, body, content=t, content_rowid=id);
			CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO f (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
			CREATE TRIGGER t_ad AFTER DELETE ON t BEGIN INSERT INTO f (f, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body); END;
			CREATE TRIGGER t_au AFTER UPDATE ON t BEGIN INSERT INTO f (f, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body); INSERT INTO f (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
			` + to300 + `INSERT INTO t (title, body) SELECT 'title' || i, 'common body' || i FROM n`,
		after:  `CREATE TABLE t (body TEXT NOT NULL, id INTEGER PRIMARY KEY, title TEXT)`,
		writes: []string{"INSERT INTO t (title, body) VALUES ('live%d', 'common live')", "UPDATE t SET body = 'common changed' WHERE id = %d", "DELETE FROM t WHERE id = 300 - %d", "INSERT INTO f (f, rank) VALUES ('integrity-check', 1)"},
		reads:  []string{"SELECT count(*) = (SELECT count(*) FROM t) FROM f WHERE f MATCH 'common'", "SELECT count(*) > 5 FROM f WHERE f MATCH 'changed'"},
	},
	{
		name: "full text by the hidden rowid",
		before: `CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, body TEXT); CREATE VIRTUAL TABLE f USING fts5 (body, content=t);
			CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO f (rowid, body) VALUES (NEW.rowid, NEW.body); END;
			CREATE TRIGGER t_ad AFTER DELETE ON t BEGIN INSERT INTO f (f, rowid, body) VALUES ('delete', OLD.rowid, OLD.body); END;
			` + to300 + `INSERT INTO t SELECT 'k' || (i * 7919 % 1000), 'common body' || i FROM n`,
		after:  `CREATE TABLE t (body TEXT, k TEXT PRIMARY KEY NOT NULL, more)`,
		writes: []string{"INSERT INTO t (k, body) VALUES ('live%d', 'common live')", "DELETE FROM t WHERE k = 'k%d'", "INSERT INTO f (f, rank) VALUES ('integrity-check', 1)"},
		reads:  []string{"SELECT count(*) = (SELECT count(*) FROM t) FROM f WHERE f MATCH 'common'", "SELECT count(*) = 0 FROM (SELECT rowid, k FROM t EXCEPT SELECT rowid, k FROM _chunkfill_old_t)"},
	},
	{
		name: "objects of the host's own connection",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE TEMP TABLE seen (x); CREATE TEMP TRIGGER tt AFTER INSERT ON main.t BEGIN INSERT INTO seen VALUES (NEW.a); END; CREATE TEMP VIEW tv AS SELECT a FROM main.t; CREATE TEMP TABLE t2 AS SELECT 1;
			` + to300 + `INSERT INTO t SELECT i, i FROM n`,
		after:  `CREATE TABLE t (a, id INTEGER PRIMARY KEY)`,
		writes: []string{"INSERT INTO t (a) VALUES ('l%d')"},
		reads:  []string{"SELECT (SELECT count(*) FROM seen) = (SELECT count(*) FROM tv)"},
		ends:   map[string]string{"SELECT (SELECT count(*) FROM seen) = (SELECT count(*) FROM tv)": "1"},
	},
	{
		name:   "a temporary table of the same name",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE); ` + to300 + `INSERT INTO t SELECT i, i FROM n; CREATE TEMP TABLE t (id, a, other)`,
		after:  `CREATE TABLE t (a UNIQUE, id INTEGER PRIMARY KEY)`,
		writes: []string{"INSERT OR REPLACE INTO main.t (a) VALUES (%d)"},
	},
	{
		name:   "made from a query",
		before: `CREATE TABLE s (id INT, v TEXT, w); ` + to300 + `INSERT INTO s SELECT i, i, i FROM n; CREATE TABLE t AS SELECT * FROM s; CREATE UNIQUE INDEX t_id ON t (id); DELETE FROM t WHERE id IS NULL; ALTER TABLE t ADD COLUMN k INTEGER NOT NULL DEFAULT 0; UPDATE t SET k = id; CREATE UNIQUE INDEX t_k ON t (k)`,
		after:  `CREATE TABLE t (k INTEGER PRIMARY KEY, w, v TEXT, id INT)`,
		writes: []string{"INSERT INTO t (id, k, w) VALUES (1000 + %d, 1000 + %d, 'x')"},
	},
	{
		name: "columns that were added, in rows that are older",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT -- first
			); ` + to300 + `INSERT INTO t SELECT i, i FROM n; ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'b'; ALTER TABLE t ADD COLUMN c REAL NOT NULL DEFAULT 7; ALTER TABLE t ADD COLUMN d DEFAULT -1.5; ALTER TABLE t ADD COLUMN g AS (b || c); ALTER TABLE t ADD COLUMN n INTEGER DEFAULT '12'`,
		after:  `CREATE TABLE t (n INTEGER DEFAULT 5, d DEFAULT 9, g AS (b || c) STORED, c REAL NOT NULL DEFAULT 8, b TEXT, a TEXT, id INTEGER PRIMARY KEY)`,
		writes: []string{"INSERT INTO t (a) VALUES ('l%d')", "UPDATE t SET b = NULL WHERE id = %d"},
	},
	{
		name:   "defaults that a REPLACE puts in",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 12, b, UNIQUE (b, a)); CREATE UNIQUE INDEX t_e ON t (a || 'x', b); ` + to300 + `INSERT INTO t SELECT i, 12, i FROM n`,
		after:  `CREATE TABLE t (b, a TEXT NOT NULL DEFAULT 12, id INTEGER PRIMARY KEY); CREATE INDEX t_e ON t (a)`,
		writes: []string{"INSERT OR REPLACE INTO t (a, b) VALUES (NULL, 300 - %d)"},
	},
	{
		name:   "a unique expression over the number to come",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE UNIQUE INDEX t_e ON t (a, id % 7); ` + to300 + `INSERT INTO t SELECT i, i, i FROM n`,
		after:  `CREATE TABLE t (b, a, id INTEGER PRIMARY KEY); CREATE INDEX t_e ON t (a, id % 7)`,
		writes: []string{"INSERT OR REPLACE INTO t (a, b) VALUES (5, %d)"},
	},
	{
		name:   "a unique expression that compares",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b, c TEXT COLLATE NOCASE); CREATE UNIQUE INDEX t_e ON t ((a IN (1, 2)), b, (c = 'X')); ` + to300 + `INSERT INTO t SELECT i, i % 3, i, 'x' FROM n`,
		after:  `CREATE TABLE t (b, a TEXT, c TEXT COLLATE NOCASE, id INTEGER PRIMARY KEY); CREATE INDEX t_e ON t (b)`,
		writes: []string{"INSERT OR REPLACE INTO t (a, b, c) VALUES (2, 301 - %d, 'x')"},
	},
	{
		name:   "a check that names its table",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a CHECK (t.a <> 'no'), FOREIGN KEY (a) REFERENCES p); CREATE TABLE p (a PRIMARY KEY); CREATE INDEX t_a ON t (lower(a)) WHERE a > 1; INSERT INTO p VALUES (0); ` + to300 + `INSERT INTO t SELECT i, NULL FROM n`,
		after:  `CREATE TABLE t (a CHECK ("t" . a <> 'no'), id INTEGER PRIMARY KEY, FOREIGN KEY (a) REFERENCES p)`,
		writes: []string{"INSERT INTO t (a) VALUES (0)"},
	},
	{
		name:   "constraints without commas between them",
		before: `CREATE TABLE p (a PRIMARY KEY); CREATE TABLE t (id INTEGER, a, PRIMARY KEY (id) FOREIGN KEY (a) REFERENCES p (a) ON DELETE CASCADE CHECK (id > 0) CONSTRAINT f FOREIGN KEY (id) REFERENCES t (id)); INSERT INTO p VALUES (1); ` + to300 + `INSERT INTO t SELECT i, 1 FROM n`,
		after: `CREATE TABLE t (a, id INTEGER, -- x, y
			FOREIGN KEY (a) REFERENCES p (a) ON DELETE CASCADE, /* , */ CONSTRAINT f FOREIGN KEY (id) REFERENCES t (id) PRIMARY KEY (id) CHECK (id > 0))`,
		writes: []string{"INSERT INTO t (a) VALUES (1)"},
	},
	{
		name:   "rows that are vacuumed meanwhile",
		before: `CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v); ` + to300 + `INSERT INTO t SELECT 'k' || (i * 7919 % 1000), i FROM n; DELETE FROM t WHERE v % 3 = 0`,
		after:  `CREATE TABLE t (v, k TEXT PRIMARY KEY NOT NULL)`,
		writes: []string{"INSERT INTO t (k, v) VALUES ('live%d', 1)", "DELETE FROM t WHERE v = %d"},
		once:   "VACUUM",
		reads:  []string{"SELECT count(*) = 0 FROM (SELECT rowid, k FROM t EXCEPT SELECT rowid, k FROM _chunkfill_old_t)"},
	},
	{
		name:   "values that are at the edge",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c REAL, d NUMERIC); ` + to300 + `INSERT INTO t SELECT i, CASE i % 9 WHEN 0 THEN 9223372036854775807 WHEN 1 THEN -0.0 WHEN 2 THEN 9e999 WHEN 3 THEN char(0, 97) WHEN 4 THEN x'' WHEN 5 THEN '' WHEN 6 THEN '1e3' WHEN 7 THEN 1e-320 ELSE zeroblob(5000) END, char(i, 0, i), i * 9007199254740993, i || '.0' FROM n; INSERT INTO t (id) VALUES (-9223372036854775808), (9223372036854775807), (0)`,
		after:  `CREATE TABLE t (d NUMERIC, c REAL, b TEXT, a, id INTEGER PRIMARY KEY)`,
		writes: []string{"UPDATE t SET a = -0.0, c = -0.0, b = CAST(x'ff00fe' AS TEXT) WHERE id = %d"},
	},
	{
		name:   "a conversion",
		before: `CREATE TABLE t (id INTEGER PRIMARY KEY, price TEXT, v); ` + to300 + `INSERT INTO t SELECT i, i || '.5', i FROM n`,
		after:  `CREATE TABLE t (price REAL NOT NULL, v TEXT, id INTEGER PRIMARY KEY) STRICT`,
		set:    []jobs.Assign{{Column: "price", Expr: "CAST(price AS REAL)"}, {Column: "v", Expr: "CAST(v AS TEXT)"}},
	},
}
