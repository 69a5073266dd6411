package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// household is a table with children, each table with a truth: what the application has written last and not deleted.
type household struct{ *shelf }

// members are the tables of a household and their keys.
var members = map[string]string{"orders": "id", "items": "id", "notes": "item, n", "parcels": "code"}

const householdSchema = `CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, nr TEXT UNIQUE NOT NULL, v, total INT NOT NULL DEFAULT 0);
	CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, "order" INT REFERENCES orders %[1]s, v); CREATE INDEX items_order ON items ("order");
	CREATE TABLE notes (item INT REFERENCES items %[1]s, n, v, PRIMARY KEY (item, n)) WITHOUT ROWID;
	CREATE TABLE parcels (code TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, nr TEXT REFERENCES orders (nr) %[1]s, item INT REFERENCES items %[1]s, v);
	CREATE INDEX parcels_nr ON parcels (nr); CREATE INDEX parcels_item ON parcels (item);
	CREATE TRIGGER totals AFTER DELETE ON items BEGIN UPDATE orders SET total = total - 1 WHERE id = OLD."order"; END;
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120) INSERT INTO orders SELECT i, 'nr' || i, i, 2 FROM n;
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 240) INSERT INTO items SELECT i, 1 + i / 2 %% 120, x'00' || i FROM n;
	INSERT INTO notes SELECT id, 1, -0.0 FROM items WHERE id %% 3 = 0; INSERT INTO notes SELECT id, 'x', id || char(0) FROM items WHERE id %% 4 = 0;
	INSERT INTO parcels SELECT 'P' || id, nr, NULL, id FROM orders WHERE id %% 5 = 0; INSERT INTO parcels SELECT 'i' || id, 'nr' || "order", id, NULL FROM items WHERE id %% 7 = 0;
	INSERT INTO parcels SELECT 'other' || id, 'nr' || (120 - "order"), id, id FROM items WHERE id %% 11 = 0;`

func openHousehold(t *testing.T, action string, enforced bool) household {
	t.Helper()
	s := household{openShelf(t, t.TempDir())}
	s.exec(fmt.Sprintf("PRAGMA foreign_keys = %t", enforced))
	s.exec(fmt.Sprintf(householdSchema, action))
	for table := range members {
		s.exec(fmt.Sprintf("CREATE TABLE truth_%[1]s AS SELECT * FROM %[1]s", table))
	}
	return s
}

// writes does what the application does, and has the truth follow.
func (s household) writes(statements string) {
	s.t.Helper()
	before, after := "", ""
	for table, key := range members {
		before += fmt.Sprintf("DELETE FROM truth_%[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s);", table, key)
		after += fmt.Sprintf("INSERT INTO truth_%[1]s SELECT * FROM %[1]s;", table)
	}
	s.exec("BEGIN IMMEDIATE; " + before + statements + after + "COMMIT")
}

// live changes orders that are about to be moved, and what goes with them.
func (s household) live(rng *rand.Rand) {
	at := fmt.Sprintf("(SELECT min(id) + %d FROM orders)", rng.IntN(8))
	statements := []string{
		"INSERT INTO items (\"order\", v) SELECT id, 'new' FROM orders WHERE id = " + at,
		"UPDATE items SET v = v || 'x' WHERE \"order\" = " + at,
		"UPDATE items SET \"order\" = (SELECT max(id) FROM orders) WHERE id IN (SELECT id FROM items WHERE \"order\" = " + at + " LIMIT 1)",
		"UPDATE items SET \"order\" = " + at + " WHERE id = (SELECT max(id) FROM items) AND EXISTS (SELECT 1 FROM orders WHERE id = " + at + ")",
		"DELETE FROM notes WHERE item IN (SELECT id FROM items WHERE \"order\" = " + at + ") AND n = 'x'",
		"INSERT OR IGNORE INTO notes SELECT id, 'later', 7 FROM items WHERE \"order\" = " + at,
		"UPDATE parcels SET v = 'moved' WHERE nr = (SELECT nr FROM orders WHERE id = " + at + ")",
		"UPDATE orders SET v = v || '.' WHERE id = " + at,
		"INSERT INTO orders (nr, v) SELECT 'new' || max(id), 0 FROM orders",
	}
	text := ""
	for range 3 {
		text += statements[rng.IntN(len(statements))] + ";"
	}
	s.writes(text)
}

// wantTogether: each row is in exactly one of the two files, as it was last written, and with what it refers to.
func (s household) wantTogether(archived func(table string) string) {
	s.t.Helper()
	for table, key := range members {
		columns := strings.Split(s.value(fmt.Sprintf("SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('%s')", table)), ",")
		s.columns = strings.Join(columns, ", ")
		old := archived(table)
		is := func(of string) string {
			return "EXISTS (SELECT 1 FROM " + of + " AS m WHERE " + s.values("m") + " IS " + s.values("truth_"+table) + ")"
		}
		s.want("0", fmt.Sprintf("SELECT count(*) FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[3]s)", table, key, old))
		s.want("0", fmt.Sprintf("SELECT count(*) FROM truth_%s WHERE NOT %s AND NOT %s", table, is("main."+table), is(old)))
		s.want("0", fmt.Sprintf("SELECT (SELECT count(*) FROM %[1]s) + (SELECT count(*) FROM %[2]s) - (SELECT count(*) FROM truth_%[1]s)", table, old))
	}
	s.want("0", `SELECT count(*) FROM items WHERE "order" NOT IN (SELECT id FROM orders)`)
	s.want("0", `SELECT count(*) FROM `+archived("items")+` WHERE "order" NOT IN (SELECT id FROM `+archived("orders")+`)`)
	s.want("0", `SELECT count(*) FROM notes WHERE item NOT IN (SELECT id FROM items)`)
	s.want("0", `SELECT count(*) FROM `+archived("notes")+` WHERE item NOT IN (SELECT id FROM `+archived("items")+`)`)
}

func (s household) moving(file string) jobs.Archive {
	job := jobs.Archive{Name: "a", Table: "orders", Where: "id <= 100", File: file,
		Children: []jobs.ArchiveChild{{Table: "items"}, {Table: "parcels"}, {Table: "notes"}}}
	if file == "" {
		job.Into = "orders_old"
		for i := range job.Children {
			job.Children[i].Into = job.Children[i].Table + "_old"
		}
	}
	return job
}

// TestArchiveChildren: rows that refer to those that are moved, and rows that refer to these, go with them, whatever the foreign
// keys do and live writes add or change meanwhile.
func TestArchiveChildren(t *testing.T) {
	for _, action := range []string{"ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT", "ON DELETE RESTRICT", "", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED", "DEFERRABLE INITIALLY DEFERRED"} {
		for _, enforced := range []bool{true, false} {
			for _, beside := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, enforced %t, same file %t", action, enforced, beside), func(t *testing.T) {
					if beside && strings.Contains(action, "SET NULL") {
						t.Skip("not here")
					}
					s := openHousehold(t, action, enforced)
					rng := seededRand(t)
					e := s.engine(func(h Hold) {
						if h.Kind == HoldBatch {
							s.live(rng)
						}
					})
					job, archived := s.moving(s.archive), func(table string) string { return "old." + table }
					if beside {
						job, archived = s.moving(""), func(table string) string { return table + "_old" }
					}
					result, err := e.Run(context.Background(), job)
					if err != nil {
						t.Fatal(err)
					}
					if result.Quarantined > 0 {
						t.Errorf("%+v", result.Quarantine)
					}
					s.attach()
					s.wantTogether(archived)
					s.want("0", "SELECT count(*) FROM orders WHERE id <= 100")
				})
			}
		}
	}
}

var _ = errors.Is
