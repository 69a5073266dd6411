package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// zoo are tables, what becomes of them, and what an application may have around them. Each has
// columns a, b (unique unless it says otherwise) and c beside its key.
var zoo = []struct {
	name, before, after string
	set                 []jobs.Assign
	key                 string   // the columns of the key
	keys                []string // values that a key may have, as SQL
	pragma              string
}{
	{name: "rowid", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT)", after: "CREATE TABLE t (c TEXT, id INTEGER PRIMARY KEY, b UNIQUE, a)"},
	{name: "autoincrement", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b UNIQUE, c TEXT); CREATE INDEX t_c ON t (c COLLATE NOCASE DESC) WHERE a > 1",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b UNIQUE, c TEXT, d DEFAULT 7 NOT NULL)"},
	{name: "text key", key: "id", keys: []string{"'a'", "'A'", "'b'", "'ü'", "x'61'", "'12'", "12"}, before: "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a, b UNIQUE, c TEXT)", after: "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a, b UNIQUE, c TEXT) WITHOUT ROWID"},
	{name: "nocase key", key: "id", keys: []string{"'a'", "'A'", "'b'", "'B'", "'ü'"}, before: "CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, a, b UNIQUE, c TEXT)", after: "CREATE TABLE t (a, b UNIQUE, c TEXT, id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL)"},
	{name: "composite", key: "k, l", keys: []string{"1, 'x'", "1, 'y'", "2, 'x'", "3, x'00'", "-1, ''"}, before: "CREATE TABLE t (k INTEGER NOT NULL, l NOT NULL, a, b UNIQUE, c TEXT, PRIMARY KEY (k, l DESC)) WITHOUT ROWID",
		after: "CREATE TABLE t (k INTEGER NOT NULL, l NOT NULL, c TEXT, a, b UNIQUE, PRIMARY KEY (k, l DESC))"},
	{name: "new check and unique that hold", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT)",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT, CHECK (typeof(id) = 'integer'), UNIQUE (id, c))"},
	{name: "partial unique", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c TEXT); CREATE UNIQUE INDEX t_b ON t (b COLLATE NOCASE) WHERE a IS NOT NULL",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, b, a)"},
	{name: "unique expression", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c TEXT); CREATE UNIQUE INDEX t_b ON t (a COLLATE NOCASE DESC, coalesce(b, '') || 'x') WHERE id > 3",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, b, a, d AS (a || b))"},
	{name: "no unique", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c TEXT)", after: "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, b, a)"},
	{name: "unique that goes", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT UNIQUE)", after: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c TEXT)"},
	{name: "generated", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT, g AS (a || 'x') VIRTUAL)", after: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT, g AS (a || 'x') STORED, h TEXT)"},
	{name: "self reference", key: "id", pragma: "&_pragma=foreign_keys(1)", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a REFERENCES t (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, b UNIQUE, c TEXT)",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, a REFERENCES t (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, b UNIQUE)"},
	{name: "recursive triggers", key: "id", pragma: "&_pragma=recursive_triggers(1)", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT); CREATE TRIGGER early AFTER UPDATE OF c ON t WHEN length(NEW.c) < 9 BEGIN UPDATE t SET c = c || '!' WHERE id = NEW.id; END",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT)"},
	{name: "strict", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a ANY, b ANY UNIQUE, c TEXT) STRICT", after: "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, a, b UNIQUE)"},
	{name: "defaults that a REPLACE puts in", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 5, b TEXT NOT NULL DEFAULT 12 UNIQUE, c TEXT); CREATE UNIQUE INDEX t_x ON t (a, c || 'x')",
		after: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c TEXT); CREATE INDEX t_x ON t (a)"},
	{name: "an expression over the number to come", key: "id", keys: []string{"NULL"}, before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c TEXT); CREATE UNIQUE INDEX t_x ON t (id % 5, b)", after: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c TEXT); CREATE INDEX t_x ON t (a)"},
	{name: "another key", key: "id", before: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT NOT NULL UNIQUE, c TEXT)", after: "CREATE TABLE t (id TEXT, a, c TEXT, b TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID", set: []jobs.Assign{{Column: "id", Expr: "CAST(id AS TEXT)"}}},
	{name: "quoted names", key: `"order"`, before: `CREATE TABLE t ("order" INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT, "a b" DEFAULT 3)`, after: `CREATE TABLE "t" ("order" INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT, "a b" DEFAULT 3, "x""y")`},
}

// TestRebuildIsTheTable has an application write at random while its table is rebuilt: at the swap both
// tables hold the same, to the type and the byte. Its triggers, made before ours and after, change the
// same rows.
func TestRebuildIsTheTable(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, z := range zoo {
		t.Run(z.name, func(t *testing.T) {
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			db := rebuildDBWith(t, z.pragma, z.before)
			must := func(statement string) {
				t.Helper()
				if _, err := db.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			must("CREATE TABLE counts (n)")
			must("CREATE TRIGGER t_before AFTER INSERT ON t WHEN NEW.c = 'twice' BEGIN UPDATE t SET c = 'three' WHERE c = 'twice'; END")
			w := writer{random: random, key: z.key, keys: z.keys}
			for range 1500 {
				w.write(db)
			}

			compared, late := false, false
			eng, err := engine.New(db, engine.Config{SoleProcess: true, TargetHold: 300 * time.Microsecond, QuietHold: 300 * time.Microsecond, OnHold: func(engine.Hold) {
				if !late && valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = '_chunkfill_new_t'") == "1" {
					late = true
					must("CREATE TRIGGER t_after AFTER UPDATE OF a ON t WHEN NEW.a = 5 BEGIN UPDATE t SET a = 6 WHERE a = 5; INSERT INTO counts VALUES (1); END")
				}
				if !compared && valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = '_chunkfill_old_t'") == "1" {
					compared = true
					if columns := "a, b, c, " + z.key; z.set == nil {
						same(t, db, columns)
					} else {
						same(t, db, "a, b, c")
					}
				}
				if compared || w.made > 2500 { // it has to come to its end
					return
				}
				for range 1 + random.IntN(4) {
					w.write(db)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			if _, err := eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: "t", Schema: z.after, Set: z.set, KeepOld: random.IntN(2) == 0}); err != nil {
				t.Fatal(err)
			}
			if !compared {
				t.Error("nothing was compared")
			}
			if got := valueOf(t, db, "SELECT group_concat(integrity_check) FROM pragma_integrity_check"); got != "ok" {
				t.Error(got)
			}
			wantSchema(t, db, z.before, z.after)
			t.Log(valueOf(t, db, "SELECT group_concat(substr(at, 15, 9) || ' ' || event || ' ' || substr(detail, 1, 20), char(10)) FROM _async_migration_events"))
			t.Logf("%d writes made, %d refused, %s rows", w.made, w.refused, valueOf(t, db, "SELECT count(*) FROM t"))
		})
	}
}

// wantSchema compares the table and its indexes with those of a database in which the new table was
// made at once, with the indexes that the old one had.
func wantSchema(t *testing.T, db *sql.DB, before, after string) {
	t.Helper()
	want, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	want.SetMaxOpenConns(1)
	for i, statement := range append([]string{after}, strings.Split(before, "; ")...) {
		if i > 0 && !strings.Contains(statement, " INDEX ") {
			continue
		}
		if _, err := want.Exec(statement); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatal(err)
		}
	}
	const schema = `SELECT group_concat(line, char(10)) FROM (SELECT type || ' ' || name || ' ' || coalesce(lower(replace(replace(sql, '"', ''), ' ', '')), '') AS line
		FROM sqlite_schema WHERE tbl_name = 't' AND type IN ('table', 'index') ORDER BY line)`
	if got, want := valueOf(t, db, schema), valueOf(t, want, schema); got != want {
		t.Errorf("the schema is\n%s\nwant\n%s", got, want)
	}
	const pragmas = `SELECT group_concat(line, char(10)) FROM (SELECT l.name || l."unique" || l.origin || l.partial || x.seqno || coalesce(x.name, '') || x."desc" || x.coll AS line
		FROM pragma_index_list('t') l, pragma_index_xinfo(l.name) x UNION ALL
		SELECT name || type || "notnull" || coalesce(dflt_value, '') || pk || hidden FROM pragma_table_xinfo('t') UNION ALL
		SELECT "table" || "from" || coalesce("to", '') || on_update || on_delete FROM pragma_foreign_key_list('t') ORDER BY 1)`
	if got, want := valueOf(t, db, pragmas), valueOf(t, want, pragmas); got != want {
		t.Errorf("the pragmas say\n%s\nwant\n%s", got, want)
	}
}

func rebuildDBWith(t *testing.T, pragma, schema string) *sql.DB {
	db := rebuildDB(t, "PRAGMA foreign_keys = 0")
	_ = pragma
	for _, p := range strings.Split(pragma, "&_pragma=") {
		if p != "" {
			name, value, _ := strings.Cut(strings.TrimSuffix(p, ")"), "(")
			if _, err := db.Exec("PRAGMA " + name + " = " + value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := db.Exec(schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// same compares the old table, which the swap has just put aside, with the new one.
func same(t *testing.T, db *sql.DB, columns string) {
	t.Helper()
	var all []string
	for _, c := range strings.Split(columns, ", ") {
		all = append(all, "typeof("+c+")", "quote("+c+")")
	}
	list := strings.Join(all, ", ")
	for _, pair := range [][2]string{{"_chunkfill_old_t", "t"}, {"t", "_chunkfill_old_t"}} {
		q := fmt.Sprintf("SELECT count(*) FROM (SELECT %[1]s FROM %[2]s EXCEPT SELECT %[1]s FROM %[3]s)", list, pair[0], pair[1])
		if n := valueOf(t, db, q); n != "0" {
			t.Errorf("%s rows of %s are not in %s", n, pair[0], pair[1])
		}
	}
	if a, b := valueOf(t, db, "SELECT count(*) FROM t"), valueOf(t, db, "SELECT count(*) FROM _chunkfill_old_t"); a != b {
		t.Errorf("%s rows, %s before", a, b)
	}
}

// writer is an application that writes at random.
type writer struct {
	random        *rand.Rand
	key           string
	keys          []string
	made, refused int
}

func seededWriter(t *testing.T) *writer {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return &writer{random: rand.New(rand.NewPCG(seed, 0)), key: "id"}
}

func (w *writer) pick(from ...string) string { return from[w.random.IntN(len(from))] }

func (w *writer) newKey() string {
	if len(w.keys) > 0 && w.random.IntN(2) == 0 {
		return w.pick(w.keys...)
	}
	n := w.random.IntN(1500)
	switch {
	case strings.Contains(w.key, ","):
		return fmt.Sprintf("%d, '%d'", n%20, n)
	case len(w.keys) > 0:
		return fmt.Sprintf("'k%d'", n)
	}
	return fmt.Sprint(n)
}

func (w *writer) any() string {
	return w.pick("NULL", "1", "5", "'x'", "'X'", "'12'", "12", "12.0", "x'31'", "''", fmt.Sprint(w.random.IntN(3000)), fmt.Sprintf("'u%d'", w.random.IntN(3000)), "-0.0", "9223372036854775807")
}

func (w *writer) write(db *sql.DB) {
	where := fmt.Sprintf("(%s) = (%s)", w.key, w.newKey())
	values := fmt.Sprintf("INTO t (%s, a, b, c) VALUES (%s, %s, %s, %s)", w.key, w.newKey(), w.any(), w.any(), w.pick("'twice'", "NULL", "'c'", fmt.Sprintf("'c%d'", w.random.IntN(500))))
	statement := w.pick(
		"INSERT "+values, "INSERT OR REPLACE "+values, "INSERT OR REPLACE "+values, "INSERT OR IGNORE "+values, "INSERT OR FAIL "+values,
		"INSERT "+values+" ON CONFLICT DO NOTHING", "INSERT "+values+fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET a = excluded.a, b = excluded.b", w.key),
		"UPDATE t SET a = "+w.any()+" WHERE "+where, "UPDATE t SET a = 5 WHERE "+where, "UPDATE t SET c = 'n' || coalesce(c, '') WHERE "+where,
		"UPDATE t SET b = "+w.any()+" WHERE "+where, "UPDATE OR REPLACE t SET b = "+w.any()+" WHERE "+where, "UPDATE OR REPLACE t SET c = 'x' WHERE "+where,
		fmt.Sprintf("UPDATE OR REPLACE t SET (%s) = (%s) WHERE %s", w.key, w.newKey(), where), fmt.Sprintf("UPDATE t SET (%s) = (%s) WHERE %s", w.key, w.newKey(), where),
		"UPDATE OR IGNORE t SET b = coalesce(b, 0) + 1 WHERE typeof(b) = 'integer' AND b < 1000", "DELETE FROM t WHERE "+where, "DELETE FROM t WHERE "+where)
	if _, err := db.Exec(statement); err != nil {
		w.refused++ // a constraint of the application's own
		if !strings.Contains(err.Error(), "constraint failed") && !strings.Contains(err.Error(), "mismatch") && !strings.Contains(err.Error(), "cannot store") {
			panic(errors.New(statement + ": " + err.Error()))
		}
		if strings.Contains(err.Error(), "_chunkfill") {
			panic(errors.New(statement + ": " + err.Error()))
		}
		return
	}
	w.made++
}
