package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// oddTable is a table on which the undo is tried: key and other columns, of which v and w are
// those that jobs write.
type oddTable struct {
	name, create string
	key, columns []string // columns: all that can be written, the key's included
	integerKey   bool
}

var oddTables = []oddTable{
	{"rowid", "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w TEXT COLLATE NOCASE, x NUMERIC, g AS (coalesce(v, '') || 'g'))",
		[]string{"id"}, []string{"id", "v", "w", "x"}, true},
	{"nocase key", "CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v TEXT COLLATE NOCASE, w BLOB, x)",
		[]string{"k"}, []string{"k", "v", "w", "x"}, false},
	{"composite", "CREATE TABLE t (a, b COLLATE NOCASE, v COLLATE NOCASE, w REAL, x INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
		[]string{"a", "b"}, []string{"a", "b", "v", "w", "x"}, false},
	{"unique", "CREATE TABLE t (x, v INTEGER, k NOT NULL UNIQUE, w)", []string{"k"}, []string{"x", "v", "k", "w"}, false},
	{"descending", "CREATE TABLE t (a NUMERIC NOT NULL, b TEXT NOT NULL, v NUMERIC, w COLLATE RTRIM, PRIMARY KEY (a DESC, b))",
		[]string{"a", "b"}, []string{"a", "b", "v", "w"}, false},
	{"wide", "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w" + wideColumns() + ")", []string{"id"}, []string{"id", "v", "w", "c7", "c133"}, true},
}

func wideColumns() string {
	var b strings.Builder
	for i := range 140 {
		fmt.Fprintf(&b, ", c%d", i)
	}
	return b.String()
}

// oddValues are near misses of one another: equal to some comparison, and not the same.
var oddValues = []string{"NULL", "1", "12", "'12'", "12.0", "'12.0'", "'Ab'", "'ab'", "'AB'", "X'4142'", "''", "X''", "0", "0.0", "-0.0", "'a '", "'a'",
	"9223372036854775807", "9.223372036854775807e18", "'9223372036854775807'", "9007199254740993", "9007199254740992.0", "1e308", "-1.5",
	"CAST(X'610062' AS TEXT)", "CAST(X'61' AS TEXT)", "X'61'", "'é'", "char(1) || 'x'"}

var oddExprs = []string{"12", "'12'", "12.0", "coalesce(v, '') || '!'", "lower(v)", "upper(v)", "NULL", "typeof(v)", "X'4142'", "-0.0", "w", "v",
	"CAST(v AS TEXT)", "random()", "x'00' || 'é'"}

var oddWheres = []string{"", "v IS NOT NULL", "typeof(v) = 'text'", "abs(random()) % 2", "w IS NOT 'ab'"}

// content is a table by its very keys: type and bytes of each value.
type content map[string]oddRow

type oddRow struct{ columns []string }

func (r oddRow) String() string { return strings.Join(r.columns, " | ") }

// contentOf reads a table past all affinities and collations.
func contentOf(t testing.TB, db *sql.DB, o oddTable) content {
	t.Helper()
	all := content{}
	exprs := func(columns []string) (list []string) {
		for _, c := range columns {
			list = append(list, "typeof("+c+")", "+"+c, "hex("+c+")")
		}
		return list
	}
	for _, values := range rowsOf(t, db, "SELECT "+strings.Join(slices.Concat(exprs(o.key), exprs(o.columns)), ", ")+" FROM t") {
		var texts []string
		for i := 0; i < len(values); i += 3 {
			text := fmt.Sprintf("%v %v", values[i], values[i+2])
			if f, ok := values[i+1].(float64); ok {
				text = fmt.Sprintf("%v %x", values[i], math.Float64bits(f))
			}
			texts = append(texts, text)
		}
		all[strings.Join(texts[:len(o.key)], " | ")] = oddRow{texts[len(o.key):]}
	}
	return all
}

func rowsOf(t testing.TB, db *sql.DB, query string) (list [][]any) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		list = append(list, values)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// trialOfUndo is one play: a table, a job, what others write, and the undo.
type trialOfUndo struct {
	t      testing.TB
	rng    *rand.Rand
	db     *sql.DB
	o      oddTable
	writes []string
}

func (u *trialOfUndo) pick(list []string) string { return list[u.rng.IntN(len(list))] }

// insert tries to insert a row; many keys are taken.
func (u *trialOfUndo) insert(id int) {
	values := make([]string, len(u.o.columns))
	for i, c := range u.o.columns {
		values[i] = u.pick(oddValues)
		if u.o.integerKey && c == "id" {
			values[i] = fmt.Sprint(id)
		} else if slices.Contains(u.o.key, c) && u.rng.IntN(2) == 0 {
			values[i] = fmt.Sprintf("'key %d'", u.rng.IntN(60))
		}
	}
	_, _ = u.db.ExecContext(context.Background(), fmt.Sprintf("INSERT OR IGNORE INTO t (%s) VALUES (%s)", strings.Join(u.o.columns, ", "), strings.Join(values, ", ")))
}

// write is one live write: of a value near to what was there, of another column, of the key,
// a delete, a delete and an insert under a key that is used again, or a row that the job has
// deleted and that comes again with another value.
func (u *trialOfUndo) write() {
	ctx := context.Background()
	one := " WHERE (" + strings.Join(u.o.key, ", ") + ") IN (SELECT " + strings.Join(u.o.key, ", ") + " FROM t ORDER BY random() LIMIT 1)"
	column := u.pick(u.o.columns)
	exec := func(statement string) { _, _ = u.db.ExecContext(ctx, statement) } // what is refused does not happen
	near := []string{"upper(%s)", "lower(%s)", "CAST(%s AS TEXT)", "CAST(%s AS BLOB)", "%s + 0", "%s + 0.0", "-%s", "CAST(%s AS INTEGER)", "%s || ' '", "%s"}
	list := strings.Join(u.o.columns, ", ")
	switch u.rng.IntN(8) {
	case 0, 1, 2:
		exec("UPDATE OR IGNORE t SET " + column + " = " + strings.ReplaceAll(u.pick(near), "%s", column) + one)
	case 3:
		exec("UPDATE OR IGNORE t SET " + column + " = " + u.pick(oddValues) + one)
	case 4:
		exec("DELETE FROM t" + one)
	case 5:
		exec("CREATE TEMP TABLE IF NOT EXISTS again AS SELECT * FROM t WHERE 0")
		exec("DELETE FROM again")
		exec("INSERT INTO again SELECT * FROM t" + one)
		exec("DELETE FROM t WHERE (" + strings.Join(u.o.key, ", ") + ") IN (SELECT " + strings.Join(u.o.key, ", ") + " FROM again)")
		if u.rng.IntN(2) == 0 {
			exec("UPDATE again SET " + column + " = " + u.pick(oddValues))
		}
		exec("INSERT OR IGNORE INTO t (" + list + ") SELECT " + list + " FROM again")
	case 6:
		u.insert(1000 + u.rng.IntN(50))
	case 7:
		values := slices.Clone(u.o.columns)
		values[slices.Index(values, "v")] = u.pick(oddValues)
		exec("INSERT OR IGNORE INTO t (" + list + ") SELECT " + strings.Join(values, ", ") + " FROM before ORDER BY random() LIMIT 1")
	}
}

func (u *trialOfUndo) job() jobs.Job {
	where := u.pick(oddWheres)
	u.writes = []string{"v", "w"}[:1+u.rng.IntN(2)]
	switch u.rng.IntN(3) {
	case 0:
		u.writes = nil
		if where == "" || strings.Contains(where, "random") { // its Todo would be a lottery, too
			where = "unixepoch('now') > 0 AND v IS NOT 12"
		}
		return jobs.Delete{Name: "j", Table: "t", Where: where, KeepBefore: true}
	case 1:
		salt := u.rng.IntN(5)
		return jobs.Transform{Name: "j", Table: "t", Where: where, KeepBefore: true, Read: []string{"v", "w"}[:len(u.writes)], Write: u.writes,
			Row: func(read []any) ([]any, error) {
				text := fmt.Sprintf("%T %v", read[0], read[0])
				switch (len(text) + salt) % 4 {
				case 0:
					return nil, jobs.ErrSkip
				case 1:
					if b, ok := read[0].([]byte); ok {
						read[0] = string(b)
					}
				case 2:
					read[0] = text
				}
				return read, nil
			}}
	}
	var set []jobs.Assign
	for _, c := range u.writes {
		set = append(set, jobs.Assign{Column: c, Expr: u.pick(oddExprs)})
	}
	if u.rng.IntN(2) == 0 && where == "v IS NOT NULL" { // arguments of both
		set[0].Expr = "coalesce(?, 1, " + set[0].Expr + ")"
		return jobs.Update{Name: "j", Table: "t", Set: set, Where: "v IS NOT ?", Args: []any{nil, "12"}, KeepBefore: true}
	}
	return jobs.Update{Name: "j", Table: "t", Set: set, Where: where, KeepBefore: true}
}

// TestUndoRandomly plays tables, jobs and live writes, and holds what the undo leaves against
// a model that knows nothing but what the tables held before the job, after it and before the
// undo: each row that the job changed and nobody else wrote is what it was, and every other
// is what it was before the undo, and listed.
//
// Planted and caught: values compared with = and with IS alone; the hash left out; new values
// not read again after the statement; the key compared by its collation; a condition asked twice.
func TestUndoRandomly(t *testing.T) {
	plays := 48
	if underRace {
		plays = 12
	}
	if n, err := strconv.Atoi(os.Getenv("CHUNKFILL_TEST_UNDO_PLAYS")); err == nil {
		plays = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	counts := map[string]int{}
	for play := range plays {
		playUndo(t, rand.New(rand.NewPCG(seed, uint64(play))), play, counts)
		if t.Failed() {
			t.Fatalf("seed %d, play %d", seed, play)
		}
	}
	t.Logf("%v", counts)
	for _, what := range []string{"put back", "gone", "changed", "other_columns", "taken"} {
		if counts[what] == 0 && plays >= 48 {
			t.Errorf("no row was %s", what)
		}
	}
}

func playUndo(t *testing.T, rng *rand.Rand, play int, counts map[string]int) {
	o := oddTables[play%len(oddTables)]
	u := &trialOfUndo{t: t, rng: rng, o: o, db: open(t, o.create)}
	defer u.db.Close()
	for id := range 40 + rng.IntN(60) {
		u.insert(id)
	}
	if _, err := u.db.ExecContext(testContext(t), "CREATE TEMP TABLE before AS SELECT * FROM t"); err != nil {
		t.Fatal(err)
	}
	old := contentOf(t, u.db, o)
	e, err := engine.New(u.db, engine.Config{SoleProcess: true, QuarantineLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	job := u.job()
	if _, err := e.Run(testContext(t), job); err != nil && !errors.Is(err, engine.ErrAllFailed) {
		t.Fatalf("%s, %s: %v", o.name, job.Spec(), err)
	}
	rewritten := contentOf(t, u.db, o)
	for range rng.IntN(40) {
		u.write()
	}
	met := contentOf(t, u.db, o)

	result, err := e.Undo(testContext(t), "j")
	if err != nil {
		t.Fatalf("%s, %s: %v", o.name, job.Spec(), err)
	}
	listed := map[string]int{}
	err = e.NotPutBack(testContext(t), "j", func(n engine.NotPutBack) error {
		listed[n.Reason]++
		counts[n.Reason]++
		return nil
	})
	if result.NotPutBack() == 0 != errors.Is(err, engine.ErrNoImages) {
		t.Errorf("%v, with %+v", err, result)
	}
	for _, reason := range result.NotBack {
		if int(reason.Rows) != listed[reason.Name] {
			t.Errorf("%d listed as %s, and %d counted", listed[reason.Name], reason.Name, reason.Rows)
		}
	}
	counts["put back"] += int(result.PutBack)
	u.judge(job, old, rewritten, met, contentOf(t, u.db, o), result)
}

// judge compares what the undo left with what it had to leave.
func (u *trialOfUndo) judge(job jobs.Job, old, rewritten, met, got content, result engine.UndoResult) {
	u.t.Helper()
	want, listed := maps.Clone(met), 0
	for key, was := range old {
		made, stood := rewritten[key]
		now, there := met[key]
		switch {
		case len(u.writes) == 0 && stood: // not deleted
		case len(u.writes) == 0 && u.taken(met, got, key, was):
			if !there || now.String() != was.String() {
				listed++
			}
		case len(u.writes) == 0:
			want[key] = was
		case made.String() == was.String(): // not changed, or not to be seen; listed or not
			listed = -1 << 30
		case !there:
			listed++
		case u.written(now) == u.written(was):
		case now.String() == made.String():
			want[key] = was
		default:
			listed++
		}
	}
	for key, row := range want {
		if got[key].String() != row.String() {
			u.t.Errorf("%s, %s: row %s is %v, want %v (before the job %v, after it %v, before the undo %v)",
				u.o.name, job.Spec(), key, got[key], row, old[key], rewritten[key], met[key])
		}
	}
	if len(got) != len(want) || listed >= 0 && int64(listed) != result.NotPutBack() {
		u.t.Errorf("%s, %s: %d rows, want %d; %+v, want %d listed", u.o.name, job.Spec(), len(got), len(want), result, listed)
	}
}

// written is what a row has in the columns that the job writes.
func (u *trialOfUndo) written(r oddRow) string {
	var values []string
	for i, c := range u.o.columns {
		if slices.Contains(u.writes, c) {
			values = append(values, r.columns[i])
		}
	}
	return strings.Join(values, " | ")
}

// taken reports whether a row has the key of one that was deleted, by the rules of the table.
func (u *trialOfUndo) taken(met, got content, key string, was oddRow) bool {
	u.t.Helper()
	if _, there := met[key]; there {
		return true
	}
	terms := make([]string, 0, len(u.o.key))
	for _, c := range u.o.key {
		typ, rest, _ := strings.Cut(was.columns[slices.Index(u.o.columns, c)], " ")
		literal := "NULL"
		switch typ {
		case "text":
			literal = "+CAST(X'" + rest + "' AS TEXT)"
		case "blob":
			literal = "X'" + rest + "'"
		case "integer":
			literal = "+CAST(CAST(X'" + rest + "' AS TEXT) AS INTEGER)"
		case "real":
			var bits uint64
			fmt.Sscanf(rest, "%x", &bits)
			literal = fmt.Sprintf("%.17e", math.Float64frombits(bits))
		}
		terms = append(terms, c+" = "+literal)
	}
	// The rows that were there before the undo are still there.
	var others int
	for _, row := range rowsOf(u.t, u.db, "SELECT count(*) FROM t WHERE "+strings.Join(terms, " AND ")) {
		others = int(row[0].(int64))
	}
	restored := 0
	if _, back := got[key]; back {
		restored = 1
	}
	return others > restored
}
