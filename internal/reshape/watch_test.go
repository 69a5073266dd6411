package reshape

import (
	"context"
	"database/sql"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

var ofNew = regexp.MustCompile(`NEW\.("[^"]*"|\w+)`)

// TestLiveWritesReadNoTable: what the triggers add to a live write finds rows by an index, whatever is unique. Planted and
// caught: a partial index that is asked without its condition.
func TestLiveWritesReadNoTable(t *testing.T) {
	for _, unique := range []string{
		"(a)", "(a, b)", "(b COLLATE NOCASE, a DESC)", "(a) WHERE b IS NOT NULL", "(lower(b), a) WHERE a > 5", "(coalesce(b, 'x'), a)", "(a COLLATE RTRIM) WHERE b", "(a + id)", "(b, a + id)",
	} {
		ctx := context.Background()
		db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		const table = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c UNIQUE NOT NULL DEFAULT 7)"
		if _, err := db.Exec(table + "; CREATE UNIQUE INDEX u ON t " + unique); err != nil {
			t.Fatal(err)
		}
		s, err := Wanted{Table: "t", Schema: table}.Load(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(ctx, db); err != nil {
			t.Fatal(err)
		}

		var trigger string
		if err := db.QueryRow("SELECT sql FROM sqlite_schema WHERE name = '_chunkfill_bi_t'").Scan(&trigger); err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(trigger, "BEGIN ")
		for _, statement := range Statements(strings.TrimSuffix(body, "END")) {
			plan := planOf(t, db, ofNew.ReplaceAllString(statement, "(SELECT 1)"))
			if strings.Contains(plan, "SCAN _chunkfill_t") || strings.Contains(plan, "SCAN t") {
				t.Errorf("%s: %s\n%s", unique, statement, plan)
			}
		}
	}
}
