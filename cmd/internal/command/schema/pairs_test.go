package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(0)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, script string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatalf("%v, in %s", err, script)
	}
}

// applied runs diff and apply on a database while somebody writes, and returns what was
// refused, if it was, and the tables that are kept.
func applied(t *testing.T, path, schema string, args []string, onHold func()) (refused []string) {
	t.Helper()
	a := apply{soleProcess: true}
	a.onHold = func(engine.Hold) { onHold() }
	cmd := &cobra.Command{Use: "apply"}
	a.register(cmd)
	if err := cmd.ParseFlags(append([]string{"--db", path, "--schema", schema, "--max-hold", "1100us"}, args...)); err != nil {
		t.Fatal(err)
	}
	job, _, err := a.find(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range a.plan.Refused {
		refused = append(refused, r.What)
	}
	if len(refused) > 0 || a.plan.Same() {
		return refused
	}
	if _, err := a.work(t.Context(), job, output.NewProgress(io.Discard)); err != nil {
		t.Fatal(err)
	}
	return nil
}

// TestPairs goes from the older to the newer schema of ten applications, beside live writes. What is
// refused without flags is named. The schema is then the newer one by diff, and by a comparison of
// its own, of texts and pragmas.
//
// Planted and caught: the texts of views as they were; triggers dropped before and not made again.
func TestPairs(t *testing.T) {
	files, err := filepath.Glob("testdata/pairs/*.txtar")
	if err != nil || len(files) != 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range archive.Files {
				part[f.Name] = strings.TrimSpace(string(f.Data))
			}
			dir := t.TempDir()
			path, schema := filepath.Join(dir, "app.db"), filepath.Join(dir, "new.sql")
			if err := os.WriteFile(schema, []byte(part["new.sql"]), 0o600); err != nil {
				t.Fatal(err)
			}
			db, fresh := openFile(t, path), openFile(t, filepath.Join(dir, "new.db"))
			exec(t, db, "PRAGMA journal_mode = wal")
			exec(t, db, part["old.sql"])
			exec(t, db, "BEGIN; "+part["rows.sql"]+"; COMMIT")
			exec(t, fresh, part["new.sql"])

			if got := applied(t, path, schema, nil, func() {}); strings.Join(got, "\n") != part["refused"] {
				t.Fatalf("without flags %q is refused, want %q", got, part["refused"])
			}
			args := strings.Split(part["flags"], "\n")
			if part["flags"] == "" {
				args = nil
			}
			writes := 0
			refused := applied(t, path, schema, args, func() {
				writes++
				for _, statement := range strings.Split(part["live.sql"], ";") {
					if _, err := db.Exec(statement); err != nil {
						t.Errorf("live write %d: %s: %v", writes, statement, err)
					}
				}
			})
			if len(refused) > 0 || writes == 0 && part["refused"] != "" {
				t.Fatalf("%q is refused; %d live writes", refused, writes)
			}
			ignored := regexp.MustCompile("--ignore=(.*)").FindStringSubmatch(part["flags"])
			compare(t, portrait(t, db, true, ignored), portrait(t, fresh, true, ignored))
			checkSound(t, db)
		})
	}
}

func checkSound(t *testing.T, db *sql.DB) {
	t.Helper()
	for query, want := range map[string]string{
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check":                                           "ok",
		"SELECT count(*) FROM pragma_foreign_key_check":                                                              "0",
		`SELECT count(*) FROM sqlite_schema WHERE name GLOB '_chunkfill_*' AND NOT tbl_name GLOB '_chunkfill_old_*'`: "0",
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", query, got, err, want)
		}
	}
}

// portrait is a schema in a form of the test's own: each text without quotes and white space, and what the
// pragmas say of each table.
func portrait(t *testing.T, db *sql.DB, texts bool, ignored []string) []string {
	t.Helper()
	const ours = `name NOT GLOB '_async_*' AND name NOT GLOB '_chunkfill_*' AND tbl_name NOT GLOB '_chunkfill_*' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '*_migrations'
		AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')`
	var lines []string
	if texts {
		for _, line := range rows(t, db, "SELECT type, name, sql FROM sqlite_schema WHERE "+ours) {
			lines = append(lines, plainText(line))
		}
	}
	for _, query := range []string{
		`SELECT m.name, x.cid, x.name, lower(x.type), x."notnull", x.dflt_value, x.pk, x.hidden FROM m, pragma_table_xinfo(m.name) x`,
		`SELECT m.name, l."unique", l.origin, l.partial, x.seqno, x.cid, x.name, x.desc, x.coll, x.key FROM m, pragma_index_list(m.name) l, pragma_index_xinfo(l.name) x`,
		`SELECT m.name, f.id, f.seq, f."table", f."from", coalesce(f."to", 'id'), f.on_update, f.on_delete FROM m, pragma_foreign_key_list(m.name) f`,
		`SELECT m.name, l.type, l.ncol, l.wr, l.strict FROM m, pragma_table_list(m.name) l WHERE l.schema = 'main'`,
	} {
		for _, line := range rows(t, db, "WITH m AS (SELECT * FROM sqlite_schema WHERE type IN ('table', 'view') AND "+ours+") "+query) {
			lines = append(lines, strings.ToLower(line))
		}
	}
	if ignored != nil {
		lines = slices.DeleteFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, ignored[1]+"|") || strings.HasPrefix(line, "table|"+ignored[1]+"|")
		})
	}
	slices.Sort(lines)
	return lines
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("the schema has %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("the schema lacks %s", line)
		}
	}
}

// plainText drops quotes around names, and all white space, outside of texts.
func plainText(line string) string {
	var b strings.Builder
	for i, piece := range strings.Split(line, "'") {
		if i%2 == 1 {
			b.WriteString("'" + piece + "'")
			continue
		}
		b.WriteString(strings.ToLower(regexp.MustCompile("[\"`\\[\\]\\s]").ReplaceAllString(piece, "")))
	}
	return b.String()
}

func rows(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	result, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer result.Close()
	columns, err := result.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for result.Next() {
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := result.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = fmt.Sprint(v)
		}
		all = append(all, strings.Join(texts, "|"))
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
