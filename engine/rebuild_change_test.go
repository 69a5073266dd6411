package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestRebuildOfATableThatIsAltered: the application alters its table at each hold of the job in turn. Whatever
// the statement and the moment, no live write fails, and in the end the table is the one or the
// other, whole; where the job stops, its triggers go, and cancel leaves nothing. Planted and caught: triggers that stay where the
// change is met between two steps.
func TestRebuildOfATableThatIsAltered(t *testing.T) {
	for _, c := range []struct {
		statement string
		table     string // by which the application writes afterwards
		values    string
	}{
		{"ALTER TABLE t ADD COLUMN more DEFAULT 7", "t", "v, n"},
		{"ALTER TABLE t DROP COLUMN w", "t", "v, n"},
		{"ALTER TABLE t RENAME COLUMN n TO nn", "t", "v, nn"},
		{"ALTER TABLE t RENAME COLUMN id TO nr", "t", "v, n"},
		{"ALTER TABLE t RENAME TO tt", "tt", "v, n"},
		{"DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE, n, w)", "t", "v, n"},
		{"DROP INDEX t_n", "t", "v, n"},
		{"CREATE UNIQUE INDEX t_w ON t (w, id)", "t", "v, n"},
		{"DROP TRIGGER IF EXISTS _chunkfill_ad_t", "t", "v, n"},
		{"DROP TABLE IF EXISTS _chunkfill_new_t", "t", "v, n"},
		{"VACUUM", "t", "v, n"},
	} {
		stopped := 0
		t.Run(c.statement, func(t *testing.T) {
			for _, at := range []int{1, 2, 3, 4, 6, 8, 9, 11} {
				if alterAt(t, c.statement, c.table, c.values, at) {
					stopped++
				}
			}
		})
		t.Logf("%s: %d jobs stopped", c.statement, stopped)
	}
}

func alterAt(t *testing.T, statement, table, values string, at int) (stopped bool) {
	t.Helper()
	db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE, n, w); CREATE INDEX t_n ON t (n); "+to300+"INSERT INTO t SELECT i, 'v' || i, i, i FROM n")
	holds, altered, name, columns := 0, false, "t", "v, n"
	write := func() {
		for _, w := range []string{"INSERT OR REPLACE INTO %s (%s) VALUES ('live%[3]d', %[3]d)", "DELETE FROM %s WHERE v = 'v%[3]d'", "UPDATE %s SET v = 'changed%[3]d' WHERE v = 'live%[3]d'"} {
			w = fmt.Sprintf(strings.ReplaceAll(w, "(%s)", "(%[2]s)"), name, columns, holds)
			if w, _, _ = strings.Cut(w, "%!(EXTRA"); true {
				if _, err := db.Exec(w); err != nil {
					t.Errorf("hold %d, after %s at %d: %s: %v", holds, statement, at, w, err)
				}
			}
		}
	}
	eng, err := engine.New(db, engine.Config{SoleProcess: true, MaxRate: 20_000, OnHold: func(engine.Hold) {
		if holds++; holds == at {
			if _, err := db.Exec(statement); err == nil {
				altered, name, columns = true, table, values
			} else if !strings.Contains(err.Error(), "_chunkfill") { // a trigger of ours is in the way: nothing is changed
				t.Log(at, err)
			}
		}
		if holds < 60 {
			write()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, err = eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (w, n, v UNIQUE, id INTEGER PRIMARY KEY)"})
	if err != nil {
		stopped = true
		if !errors.Is(err, engine.ErrTableChanged) && !errors.Is(err, engine.ErrJobChanged) && !altered {
			t.Errorf("%s at %d: %v", statement, at, err)
		}
		holds++
		write()
		if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"); got != "0" {
			t.Errorf("%s at %d: %s triggers are left after %v", statement, at, got, err)
		}
		if err := eng.Cancel(context.Background(), "r", "test"); err != nil && !errors.Is(err, engine.ErrEnded) && !errors.Is(err, engine.ErrUnknownJob) {
			t.Errorf("%s at %d: %v", statement, at, err)
		}
	}
	holds++
	write()
	for query, want := range map[string]string{
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check":                          "ok",
		"SELECT count(*) FROM sqlite_schema WHERE name GLOB '_chunkfill*'":                          "0",
		fmt.Sprintf("SELECT v FROM %s WHERE v = 'changed%d'", name, holds):                          fmt.Sprintf("changed%d", holds),
		fmt.Sprintf("SELECT count(*) > 200 OR '%s' LIKE 'DROP TABLE t%%' FROM %s", statement, name): "1",
	} {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("%s at %d: %s: %s, want %s", statement, at, query, got, want)
		}
	}
	return stopped
}
