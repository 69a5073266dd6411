package engine_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

func init() {
	sqlite.MustRegisterScalarFunction("test_mail", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		mailed = append(mailed, args[0])
		return nil, nil
	})
	sqlite.MustRegisterDeterministicScalarFunction("test_twice", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		return args[0].(int64) * 2, nil
	})
	sqlite.MustRegisterDeterministicScalarFunction("test_spin", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
		return args[0], nil
	})
	sqlite.MustRegisterDeterministicScalarFunction("test_panic", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if args[0] == int64(3) {
			panic("at 3")
		}
		return args[0], nil
	})
}

var mailed []any // by test_mail

// people are tables with all that a dry run could leave something of.
var people = []string{
	"CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT UNIQUE, n INT, low TEXT AS (lower(email)), at TIMESTAMP)",
	"CREATE TABLE visits (id INTEGER PRIMARY KEY, person INT REFERENCES people (id) ON DELETE CASCADE)",
	"CREATE TABLE audit (id INT, was TEXT)",
	"CREATE VIRTUAL TABLE search USING fts5 (email)",
	"INSERT INTO people (id, email, n) WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) SELECT i, 'P' || i, i FROM c",
	"INSERT INTO visits (person) SELECT id FROM people",
	"INSERT INTO search (rowid, email) SELECT id, email FROM people",
	"CREATE TRIGGER searched AFTER UPDATE OF email ON people BEGIN UPDATE search SET email = new.email WHERE rowid = new.id; END",
	"CREATE TRIGGER audited AFTER UPDATE ON people BEGIN INSERT INTO audit VALUES (old.id, old.email); END",
	"CREATE TRIGGER gone BEFORE DELETE ON people WHEN old.id = 3 BEGIN SELECT RAISE(ROLLBACK, 'three stays'); END",
	"CREATE TRIGGER refused BEFORE UPDATE OF n ON people WHEN new.id = 2 BEGIN SELECT RAISE(ROLLBACK, 'not two'); END",
	"PRAGMA wal_checkpoint(TRUNCATE)",
	"PRAGMA foreign_keys = on",
}

// dryRunOf makes a dry run and wants every byte of the files of the database as it was,
// nothing in it that another connection would see, and the transaction over.
func dryRunOf(t *testing.T, db *sql.DB, cfg engine.Config, job jobs.Job) engine.DryRunResult {
	t.Helper()
	path := value(t, db, "SELECT file FROM pragma_database_list WHERE name = 'main'")
	other := openAt(t, path)
	content := "SELECT group_concat(quote(id) || quote(email) || quote(n)) FROM people"
	if value(t, other, "SELECT count(*) FROM sqlite_schema WHERE name = 'people'") == "0" {
		content = "SELECT 1"
	}
	before, version, bytes := value(t, other, content), value(t, other, "PRAGMA data_version"), filesOf(t, path)

	e := newEngine(t, db, cfg)
	d, err := e.DryRun(testContext(t), job)
	if err != nil {
		t.Fatal(err)
	}
	if got := filesOf(t, path); got != bytes {
		t.Errorf("a file has changed: %s, was %s", got, bytes)
	}
	if value(t, other, content) != before || value(t, other, "PRAGMA data_version") != version {
		t.Error("another connection sees a change")
	}
	mustExec(t, db, "BEGIN IMMEDIATE")
	mustExec(t, db, "ROLLBACK")
	return d
}

// filesOf are digests of the database and of its log.
func filesOf(t *testing.T, path string) string {
	t.Helper()
	text := ""
	for _, name := range []string{path, path + "-wal"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("%d bytes %x ", len(content), sha256.Sum256(content))
	}
	return text
}

var unhurriedDry = engine.Config{TargetHold: time.Second}

// TestDryRunShows rows before and after, with what triggers, affinities, conflicts and
// generated columns make of them, and leaves no trace. Planted and caught: COMMIT instead
// of ROLLBACK; no look at whether a trigger has ended the transaction, after which the next rows
// are committed one by one.
func TestDryRunShows(t *testing.T) {
	for name, c := range map[string]struct {
		job  jobs.Job
		want []string // lines of shownOf
	}{
		"update": {jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "email", Expr: "lower(email)"}}, Where: "id % 100 = 7"},
			[]string{"[7] email='P7' -> email='p7' ", "[107] email='P107' -> email='p107' "}},
		"conflict": {jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "email", Expr: "'same'"}}, Where: "id < 3"},
			[]string{"[1] email='P1' low='p1' -> email='same' low='same' ", "[2] email='P2' low='p2' -> constraint failed: UNIQUE constraint failed: people.email (2067)"}},
		"a trigger that rolls back": {jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "n", Expr: "'12'"}}, Where: "id < 4"},
			[]string{"[1] n=1 -> n=12 ", "[2] n=2 -> constraint failed: not two (1811)", "[3] n=3 -> n=12 "}},
		"delete": {jobs.Delete{Name: "j", Table: "people", Where: "id IN (2, 3, 4)"},
			[]string{"[2] id=2 email='P2' n=2 low='p2' at=NULL -> gone", "[3] id=3 email='P3' n=3 low='p3' at=NULL -> constraint failed: three stays (1811)", "[4] id=4 email='P4' n=4 low='p4' at=NULL -> gone"}},
		"a host function that panics": {jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "n", Expr: "test_panic(id)"}}, Where: "id BETWEEN 3 AND 5"},
			[]string{"[3] n=3 -> code of the application did not return"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := dryRunOf(t, open(t, people...), unhurriedDry, c.job)
			got := shownOf(d)
			for i, want := range c.want {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Errorf("row %d: got %q, want %q (%s)", i, got, want, d.SampleReason)
					break
				}
			}
		})
	}
}

// shownOf is the sample, a line for each row.
func shownOf(d engine.DryRunResult) (lines []string) {
	for _, row := range d.Sample {
		line := fmt.Sprint(row.Key, " ")
		values := func(m map[string]string) {
			for _, column := range d.Columns {
				line += column + "=" + m[column] + " "
			}
		}
		values(row.Before)
		line += "-> "
		switch {
		case row.Error != "":
			line += row.Error
		case row.After == nil:
			line += "gone"
		default:
			values(row.After)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestDryRunOddTables: keys of texts, several columns, WITHOUT ROWID; long values are cut,
// types are told apart.
func TestDryRunOddTables(t *testing.T) {
	db := open(t, "CREATE TABLE w (a TEXT, b INT, v, PRIMARY KEY (a, b DESC)) WITHOUT ROWID",
		"INSERT INTO w VALUES ('x', 1, zeroblob(1000)), ('x', 2, '12'), ('ü', 1, 12.0), ('y', 3, x'')",
		"CREATE TABLE d (k TEXT PRIMARY KEY NOT NULL, at TIMESTAMP)", "INSERT INTO d VALUES ('it''s', '2024-01-02')", "PRAGMA wal_checkpoint(TRUNCATE)")
	for _, c := range []struct {
		table, set string
		want       []string
	}{
		{"w", "v || ''", []string{"['x' 2] v='12' -> v='12' ", "['x' 1] v=x'" + strings.Repeat("0", 60) + "…' (1000 bytes) -> v='" + strings.Repeat("\x00", 60) + "…' (1000 bytes) ", "['y' 3] v=x'' -> v='' "}},
		{"d", "at || ' 00:00'", []string{"['it''s'] at='2024-01-02' -> at='2024-01-02 00:00' "}},
	} {
		column := map[string]string{"w": "v", "d": "at"}[c.table]
		d := dryRunOf(t, db, unhurriedDry, jobs.Update{Name: c.table, Table: c.table, Set: []jobs.Assign{{Column: column, Expr: c.set}}})
		got := shownOf(d)
		if len(got) < len(c.want) || !slices.Equal(got[:len(c.want)], c.want) {
			t.Errorf("got %q\nwant %q", got, c.want)
		}
	}
}

// TestDryRunOfTransform computes beside the writer: the function can use the host's only
// connection. What it skips stays, what fails is told. Planted and caught: results left to the hold.
func TestDryRunOfTransform(t *testing.T) {
	db := open(t, people...)
	release := make(chan struct{})
	defer close(release)
	cfg := unhurriedDry
	cfg.RowTimeout = 500 * time.Millisecond
	d := dryRunOf(t, db, cfg, jobs.Transform{Name: "j", Table: "people", Read: []string{"id", "email"}, Write: []string{"email"}, Where: "id < 6",
		Row: func(read []any) ([]any, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			if err := db.PingContext(ctx); err != nil {
				return nil, fmt.Errorf("the writer is held: %w", err)
			}
			switch read[0].(int64) {
			case 2:
				return nil, jobs.ErrSkip
			case 3:
				panic("at 3")
			case 4:
				<-release
			}
			return []any{fmt.Sprint("new ", read[0])}, nil
		}})
	want := []string{"[1] email='P1' low='p1' -> email='new 1' low='new 1' ", "[2] email='P2' low='p2' -> email='P2' low='p2' ", "panic: at 3",
		"the row function took longer than 500ms", "[5] email='P5' low='p5' -> email='new 5' low='new 5' "}
	got := shownOf(d)
	for i := range want {
		if i >= len(got) || !strings.Contains(got[i], want[i]) {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
}

// TestDryRunHold: no row is begun after the target hold, and one that alone would hold the
// writer for ever is interrupted. Planted and caught: no look at the time; no interruption.
func TestDryRunHold(t *testing.T) {
	db := open(t, people...)
	cfg := engine.Config{TargetHold: time.Millisecond}
	job := jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "at", Expr: "test_spin(id)"}}}
	if d := dryRunOf(t, db, cfg, job); d.Tried != 1 || !strings.HasPrefix(d.SampleReason, "1 of 10 rows were tried, then the writer had been held for") {
		t.Errorf("%d rows were tried: %s", d.Tried, d.SampleReason)
	}

	job.Set[0].Expr = "n + (WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c)"
	d := dryRunOf(t, open(t, people...), cfg, job)
	if d.Tried != 0 || d.SampleReason != "not tried: one row alone holds the writer for longer than 50ms" || len(d.Sample) != 10 {
		t.Errorf("%d rows were tried: %s", d.Tried, d.SampleReason)
	}
}

// TestDryRunBesideALock waits, but not for ever. Planted and caught: no limit.
func TestDryRunBesideALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db, other := openAt(t, path, people...), openAt(t, path)
	e := newEngine(t, db, unhurriedDry)
	mustExec(t, other, "BEGIN IMMEDIATE")
	d, err := e.DryRun(testContext(t), jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}})
	mustExec(t, other, "ROLLBACK")
	if err != nil || d.SampleReason != "not tried: the database is locked" || d.Rows != 500 || len(d.Sample) != 10 || d.Sample[0].Before != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestDryRunSideEffects lists the triggers that would fire, and those only, and fires none
// that calls a function of the application. Planted and caught: the function called.
func TestDryRunSideEffects(t *testing.T) {
	mailed = nil
	set := func(column string) jobs.Update {
		return jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: column, Expr: "id"}}}
	}
	for _, c := range []struct {
		job  jobs.Job
		want string
	}{
		{set("at"), "audited after update on people []; "},
		{set("email"), "audited after update on people []; searched after update of email on people []; "},
		{set("n"), "audited after update on people []; refused before update of n on people []; "},
		{jobs.Delete{Name: "j", Table: "people"}, "gone before delete on people []; counted after delete on visits []; visits [person] on delete cascade; "},
		{jobs.Update{Name: "j", Table: "visits", Set: []jobs.Assign{{Column: "person", Expr: "person"}}}, "mailed after update of person on visits [test_mail]; "},
	} {
		db := open(t, append(slices.Clone(people),
			"CREATE TRIGGER counted AFTER DELETE ON visits BEGIN INSERT INTO audit VALUES (test_twice(old.id), 'visit'); END",
			"CREATE TRIGGER mailed AFTER UPDATE OF person ON visits BEGIN INSERT INTO audit VALUES (1, test_mail(new.id)); END",
			"PRAGMA wal_checkpoint(TRUNCATE)")...)
		d := dryRunOf(t, db, unhurriedDry, c.job)
		got := ""
		slices.SortFunc(d.Triggers, func(a, b engine.DryRunTrigger) int { return strings.Compare(b.Table+a.Name, a.Table+b.Name) })
		for _, tr := range d.Triggers {
			got += fmt.Sprintf("%s %s %s on %s %v; ", tr.Name, tr.Timing, tr.Event, tr.Table, tr.Calls)
		}
		for _, k := range d.ForeignKeys {
			got += fmt.Sprintf("%s %v %s; ", k.Table, k.Columns, k.Action)
		}
		if sorted(got) != sorted(c.want) {
			t.Errorf("%v: got %s, want %s", c.job.Spec(), got, c.want)
		}
		if calls := strings.Contains(c.want, "test_mail"); calls != strings.HasPrefix(d.SampleReason, "not tried: trigger mailed calls test_mail") {
			t.Errorf("%v: %s", c.job.Spec(), d.SampleReason)
		}
	}
	if len(mailed) > 0 {
		t.Errorf("the application was called: %v", mailed)
	}
}

func sorted(list string) string {
	parts := strings.Split(list, "; ")
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// TestDryRunWarns of names that are texts to SQLite, and of constants. Planted and caught: names in
// quotes not looked at; plain values warned of.
func TestDryRunWarns(t *testing.T) {
	for expr, want := range map[string]string{
		`lower("emial")`: `in the new value of at: "emial" is not a column of people, so SQLite takes it for a text; write 'emial' if that is what is meant` +
			"\nthe new value of at is the same for all rows: 'emial'; it names no column",
		`lower("EMAIL")`:            "",
		`"rowid"`:                   "",
		`"people"."email"`:          "",
		`'"emial"' || email`:        "",
		`email || "it""s"`:          `in the new value of at: "it"s" is not a column of people, so SQLite takes it for a text; write 'it"s' if that is what is meant`,
		`lower('emial')`:            "the new value of at is the same for all rows: 'emial'; it names no column",
		`1`:                         "note: the new value of at is the same for all rows: 1",
		`'x'`:                       "note: the new value of at is the same for all rows: 'x'",
		`date('now')`:               "note: ",
		`random()`:                  "",
		`lower([email])`:            "",
		`(SELECT "was" FROM audit)`: "the new value of at is the same for all rows: NULL; it names no column",
	} {
		d := dryRunOf(t, open(t, append(slices.Clone(people), "DROP TRIGGER audited", "PRAGMA wal_checkpoint(TRUNCATE)")...), unhurriedDry,
			jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "at", Expr: expr}}})
		got := strings.Join(d.Warnings, "\n")
		for _, n := range d.Notes {
			got += "note: " + n
		}
		if got != want && (want != "note: " || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

// TestDryRunJSON has the same keys whatever there is to say.
func TestDryRunJSON(t *testing.T) {
	db := open(t, people...)
	full := dryRunOf(t, db, unhurriedDry, jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "n", Expr: "n"}}})
	none := dryRunOf(t, db, unhurriedDry, jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "n", Expr: "n"}}, Where: "id < ?", Args: []any{0}})
	if full.TimeHigh < full.TimeLow || full.TimeLow <= 0 || full.WALBytes <= 0 || full.LiveLoad == nil || *full.LiveLoad || full.FreeBytes <= 0 {
		t.Errorf("%+v", full)
	}
	if none.TimeLow != -1 || none.WALBytes != -1 || none.Matching != -1 || none.SampleReason != "no row matches" {
		t.Errorf("%+v", none)
	}
	keys := func(d engine.DryRunResult) (map[string]any, []string) {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]any{}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		all := []string{}
		for k := range maps.Clone(m) {
			all = append(all, k)
		}
		slices.Sort(all)
		return m, all
	}
	m, a := keys(full)
	n, b := keys(none)
	if !slices.Equal(a, b) || n["time_high_ns"] != nil || n["wal_bytes"] != nil || fmt.Sprint(n["triggers"]) == "<nil>" || fmt.Sprint(n["sample"]) != "[]" {
		t.Errorf("%v\n%v", a, n)
	}
	if row := m["sample"].([]any)[1].(map[string]any); row["after"] != nil || row["error"] == "" || len(row) != 4 {
		t.Errorf("%v", row)
	}
}

// TestDryRunGoesOn shows rows behind the cursor of a job that has begun.
func TestDryRunGoesOn(t *testing.T) {
	db := open(t, people...)
	e := newEngine(t, db, engine.Config{SoleProcess: true, QuarantineLimit: -1})
	job := jobs.Update{Name: "j", Table: "people", Set: []jobs.Assign{{Column: "n", Expr: "n + json_extract(CASE id WHEN 200 THEN '{' ELSE '1' END, '$')"}}, Where: "id <> 2"}
	if _, err := e.Run(testContext(t), job); !errors.Is(err, engine.ErrTooManyBadRows) {
		t.Fatal(err)
	}
	d, err := e.DryRun(testContext(t), job)
	if err != nil || len(d.Sample) == 0 || d.Sample[0].Key[0] != "200" || d.Sample[0].Error == "" || d.Begun != "failed" {
		t.Errorf("%+v, %v", d.Sample, err)
	}
}
