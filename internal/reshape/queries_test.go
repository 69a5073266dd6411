package reshape_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
)

// TestQueryPlan: with parameters of all forms, and without running anything. Planted and caught: an index taken for
// another whose name begins with its, and a second statement let through.
func TestQueryPlan(t *testing.T) {
	conn := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)", "CREATE INDEX i ON t (a)", "CREATE INDEX i_2 ON t (b)", `CREATE INDEX "an ""index" ON t (a, b)`, "INSERT INTO t VALUES (1, 2, 3)")
	for _, c := range []struct{ query, uses string }{
		{"SELECT * FROM t WHERE b = ?", "i_2"},
		{"SELECT * FROM t WHERE b = ?2 AND id > ?1", "i_2"},
		{"SELECT * FROM t WHERE b = ?3", "i_2"},
		{"SELECT id FROM t WHERE b = @x OR b = $y OR b = :x -- a ? in a comment\n;", "i_2"},
		{"SELECT '?' FROM t WHERE a > 1 AND b = 2 AND id = 3", ""},
		{"DELETE FROM t WHERE b = 3", "i_2"},
		{"SELECT a, b FROM t WHERE a = 1", `an "index`},
	} {
		plan, err := reshape.QueryPlan(context.Background(), conn, c.query)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
		}
		for _, name := range []string{"i", "i_2", `an "index`} {
			if reshape.Uses(plan, []string{name}) != (name == c.uses) {
				t.Errorf("%s: index %s, want %q: %q", c.query, name, c.uses, plan)
			}
		}
	}

	for _, query := range []string{"SELECT 1; DELETE FROM t", "", "SELECT nothing FROM t", "EXPLAIN SELECT 1"} {
		if _, err := reshape.QueryPlan(context.Background(), conn, query); !errors.Is(err, lite.ErrFragment) || !strings.Contains(err.Error(), query) {
			t.Errorf("%q: %v", query, err)
		}
	}
	var rows int
	if err := conn.QueryRowContext(context.Background(), "SELECT count(*) FROM t").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}
