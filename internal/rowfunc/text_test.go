package rowfunc_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

// TestWholeValues: a function gets each value as it is stored, whatever the driver makes
// of it. Planted and caught with the oldest driver: columns that are handed over as they
// are (a text ends at its NUL, an empty blob is a panic), a text that begins as the
// escape does and is not escaped, UTF-16 read as UTF-8.
func TestWholeValues(t *testing.T) {
	for _, encoding := range []string{"UTF-8", "UTF-16le", "UTF-16be"} {
		t.Run(encoding, func(t *testing.T) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			mustExec(t, db, fmt.Sprintf("PRAGMA encoding = '%s'", encoding))
			mustExec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, x, y)")
			mustExec(t, db, `INSERT INTO t (a, b) VALUES ('a' || char(0) || 'ü', x''), (char(0), x'00'), (char(1) || 'x', ''),
				(char(1) || '61:41', char(1)), (NULL, x'0161'), ('x' || char(1, 0), 1), (char(0, 128512, 0), 0.5)`)
			calls := openCalls(t, func(read []any) ([]any, error) { return read, nil }, 2)
			mustExec(t, db, rewrite(calls))
			wantValue(t, db, "7", "SELECT count(*) FROM t WHERE x IS a AND y IS b AND typeof(x) = typeof(a) AND typeof(y) = typeof(b)")
		})
	}
}
