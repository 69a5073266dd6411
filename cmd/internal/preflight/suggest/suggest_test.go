package suggest_test

import (
	"errors"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/suggest"
)

// What is suggested is Go and passes the gate once the reason is given.
// Planted: the statement left outside the call.
func TestSuggestionsPass(t *testing.T) {
	for _, sql := range []string{
		"UPDATE t SET a = 1, b = lower('x') WHERE c > ?",
		"UPDATE t\nSET a = json_array('`', \"b\")\nWHERE a IS NULL",
		"UPDATE t AS x SET a = 1", "UPDATE t SET (a, b) = (1, 2)", "UPDATE t SET a = s.a FROM s WHERE s.id = t.id",
		"UPDATE OR IGNORE t SET a = 1", "UPDATE t SET a = :a", "WITH x AS (SELECT 1) DELETE FROM t WHERE a IN x",
		"DELETE FROM \"my table\" WHERE ts < ?", "DELETE FROM t", "DELETE FROM t LIMIT 10", "DELETE FROM t RETURNING id", "UPDATE … SET …",
		"CREATE INDEX i ON t (a)", "VACUUM", "ALTER TABLE t DROP COLUMN a", "INSERT INTO t SELECT * FROM u; REINDEX i",
	} {
		code, err := suggest.For(sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		code = strings.ReplaceAll(code, "_, err := db", "_, err = db")
		file := "package p\n\nfunc f() {\n" + strings.ReplaceAll(code, `reason="…"`, `reason="the table has forty rows"`) + "\n}\n"
		if _, err := parser.ParseFile(token.NewFileSet(), "", file, 0); err != nil {
			t.Errorf("%s: %v\n%s", sql, err, file)
		}
		result, err := preflight.Check(t.Context(), preflight.Input{Sources: []preflight.Source{{Path: "p.go", Text: []byte(file)}}})
		if err != nil || len(result.Findings) > 0 {
			t.Errorf("%s: %v, %v\n%s", sql, result.Findings, err, file)
		}
	}
}

func TestJobs(t *testing.T) {
	got, err := suggest.For("DELETE FROM log WHERE ts < ? AND (a OR b)")
	want := `err := eng.Start(ctx, jobs.Delete{
	Name:  "purge_log_v1",
	Table: "log",
	Where: "ts < ? AND (a OR b)",
	Args:  []any{ /* the values of the 1 ? in Set, then in Where */ },
})

// Or, left in place:

// PREFLIGHT: async=true reason="…"
_, err := db.ExecContext(ctx, "DELETE FROM log WHERE ts < ? AND (a OR b)")`
	if err != nil || got != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestNothingToSuggest(t *testing.T) {
	for _, sql := range []string{"", "hello", "SELECT 1", "CREATE TABLE t (a)"} {
		if code, err := suggest.For(sql); !errors.Is(err, suggest.ErrNothing) {
			t.Errorf("%q: %q, %v", sql, code, err)
		}
	}
}
