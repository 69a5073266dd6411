package schema

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/schemadiff"
)

// maker makes schemas at random.
type maker struct{ *rand.Rand }

func (m maker) pick(all ...string) string { return all[m.IntN(len(all))] }

// perhaps is a text one time in n.
func (m maker) perhaps(n int, text string) string {
	if m.IntN(n) == 0 {
		return text
	}
	return ""
}

// name writes a name in one of the forms that mean the same.
func (m maker) name(name string) string {
	switch m.IntN(5) {
	case 0:
		return `"` + name + `"`
	case 1:
		return "[" + strings.ToUpper(name) + "]"
	case 2:
		return "`" + name + "` /* it's " + name + " */"
	}
	return name
}

// columns are the names that all tables choose from; their types go with their names, so that values never
// stand in the way.
var columns = []string{"a", "b", "c", "key", "x y", "É.e"}

func (m maker) column(name, parent string) string {
	text := m.name(name)
	if strings.ContainsAny(name, " .") {
		text = `"` + name + `"`
	}
	text += " " + map[string]string{"a": "TEXT", "b": "INTEGER", "c": "REAL", "key": "", "x y": "varchar ( 20 )", "É.e": "BLOB"}[name]
	text += m.perhaps(4, " COLLATE NOCASE") + m.perhaps(4, m.pick(" DEFAULT 7", " DEFAULT 'it''s'", " DEFAULT (1 + 1)", " DEFAULT -1.5"))
	text += m.perhaps(5, fmt.Sprintf(" CHECK (%s IS NOT 'no')", quoted(name)))
	if name == "b" && parent != "" {
		text += m.perhaps(2, " REFERENCES "+m.name(parent)+m.perhaps(2, " (id)")+m.perhaps(2, " ON DELETE CASCADE")+m.perhaps(3, " DEFERRABLE INITIALLY DEFERRED"))
	}
	return text
}

func quoted(name string) string { return `"` + name + `"` }

// table makes one with a key that never changes.
func (m maker) table(name, parent string) string {
	parts := []string{m.pick("id INTEGER PRIMARY KEY", `"id" integer primary key`)}
	with := map[string]bool{}
	for _, c := range columns {
		if m.IntN(3) > 0 {
			parts, with[c] = append(parts, m.column(c, parent)), true
		}
	}
	if m.IntN(5) == 0 && len(parts) > 2 {
		parts[1], parts[2] = parts[2], parts[1]
	}
	if with["a"] {
		parts = append(parts, m.perhaps(4, "g TEXT AS (upper(a))"))
	}
	parts = append(parts, m.perhaps(5, "CHECK (id > 0)"))
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	text := "CREATE TABLE " + m.perhaps(3, "IF NOT EXISTS ") + m.name(name) + " (\n" + strings.Join(kept, m.pick(",", ",\n\t")) + ")"
	for i, c := range columns {
		if with[c] && m.IntN(3) == 0 {
			text += fmt.Sprintf(";\nCREATE INDEX %s_%d ON %s (%s%s)%s", name, i, m.name(name), m.pick(quoted(c), quoted(c), "'"+c+"'"), m.perhaps(3, " DESC"), m.perhaps(4, " WHERE id > 5"))
		}
	}
	if with["a"] {
		text += m.perhaps(2, fmt.Sprintf(";\nCREATE VIEW %s_v AS SELECT id, %s FROM %s", name, m.pick("a", "lower(a) AS a"), name))
		text += m.perhaps(2, fmt.Sprintf(";\nCREATE TRIGGER %s_t AFTER INSERT ON %[1]s WHEN %s BEGIN UPDATE %[1]s SET a = '%[3]d' WHERE id = NEW.id; END", name, m.pick("NEW.a IS NULL", "NEW.id > 10"), m.IntN(2)))
	}
	return text
}

func (m maker) schema() string {
	var all []string
	parent := ""
	for _, name := range []string{"p", "q", "r"} {
		if name == "p" || m.IntN(4) > 0 {
			all = append(all, m.table(name, parent))
			parent = "p"
		}
	}
	return strings.Join(all, ";\n") + ";\n"
}

// TestRandomSchemas goes from one random schema to another: what is not refused for new foreign keys leads there, and then
// there is no difference; of a schema to itself there is none from the beginning.
//
// Planted and caught: indexes of a rebuilt table left out; a trigger that is to change left as it was; a view
// that is to change not dropped.
func TestRandomSchemas(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := maker{rand.New(rand.NewPCG(seed, 0))}
	done, refused := 0, 0
	for n := 0; n < 12 && !t.Failed(); n++ {
		was, is := m.schema(), m.schema()
		dir := t.TempDir()
		path := filepath.Join(dir, "app.db")
		files := map[string]string{"was.sql": was, "is.sql": is}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db := openFile(t, path)
		exec(t, db, "PRAGMA journal_mode = wal; "+was)
		for _, name := range []string{"p", "q", "r"} {
			_, _ = db.ExecContext(t.Context(), fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO %s (id) SELECT i FROM n", name)) // or there is none
		}

		if p := planOf(t, path, filepath.Join(dir, "was.sql")); !p.Same() {
			t.Fatalf("%d: to itself: %+v, %+v\n%s", n, p.Changes, p.Refused, was)
		}
		args := []string{}
		for _, r := range planOf(t, path, filepath.Join(dir, "is.sql")).Refused {
			if strings.Contains(r.Why, "--allow-drop") {
				args = append(args, "--allow-drop", r.What)
			}
		}
		left := applied(t, path, filepath.Join(dir, "is.sql"), args, func() {})
		p := planOf(t, path, filepath.Join(dir, "is.sql"))
		if len(left) > 0 {
			refused++
			for _, r := range p.Refused {
				if !strings.Contains(r.Why, "foreign key") && !strings.Contains(r.Why, "--allow-drop") {
					t.Errorf("%d: refused %s: %s\n%s\n%s", n, r.What, r.Why, was, is)
				}
			}
			continue
		}
		done++
		if !p.Same() {
			t.Fatalf("%d: after it: %+v, %+v\n%s\n%s", n, p.Changes, p.Refused, was, is)
		}
		fresh := openFile(t, filepath.Join(dir, "fresh.db"))
		exec(t, fresh, is)
		compare(t, portrait(t, db, false, nil), portrait(t, fresh, false, nil))
		checkSound(t, db)
		db.Close()
	}
	t.Logf("%d made, %d refused", done, refused)
	if done == 0 {
		t.Errorf("all %d are refused", refused)
	}
}

func planOf(t *testing.T, path, schema string) *schemadiff.Plan {
	t.Helper()
	w := wish{db: path, file: schema, maxHold: 1100 * time.Microsecond}
	p, err := w.planned(t.Context(), nil)
	if err != nil {
		text, _ := os.ReadFile(schema)
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}
