package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// What a process of TestUndoKilled does, where, and how fast.
const (
	undoPath = "CHUNKFILL_TEST_UNDO"
	undoDoes = "CHUNKFILL_TEST_UNDO_DOES"
	undoRate = "CHUNKFILL_TEST_UNDO_RATE"
)

// rewritten is what the job makes of v.
const rewritten = "CASE typeof(v) WHEN 'integer' THEN v + 1 ELSE lower(v) || '!' END"

var killedJob = jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: rewritten}}, KeepBefore: true}

// TestUndoChild is the process.
func TestUndoChild(t *testing.T) {
	path := os.Getenv(undoPath)
	if path == "" {
		return // it is not one
	}
	rate, err := strconv.ParseFloat(os.Getenv(undoRate), 64)
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, openAt(t, path), engine.Config{MaxRate: rate})
	if os.Getenv(undoDoes) == "undo" {
		_, err = e.Undo(context.Background(), "j")
	} else {
		_, err = e.Run(context.Background(), killedJob)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// liveRow is a row as it would be without the job.
type liveRow struct{ v, w string } // as SQL literals

// liveRows are what others make of the table, while the job and its undo run.
type liveRows struct {
	db      *sql.DB
	rng     *rand.Rand
	rows    map[int]*liveRow // nil where it was deleted
	touched map[int]bool
	writes  int
}

// write is one transaction of others: a value equal to that of the job but for its case or its
// type, any other value, another column, a delete, or an id that is used again.
func (l *liveRows) write() error {
	id := 1 + l.rng.IntN(len(l.rows))
	row := l.rows[id]
	var next *liveRow
	var statement string
	if row == nil {
		next = &liveRow{fmt.Sprintf("'again %d'", l.writes), fmt.Sprintf("'w%d'", l.writes)}
		statement = fmt.Sprintf("INSERT INTO t VALUES (%d, %s, %s)", id, next.v, next.w)
	} else {
		change := *row
		next = &change
		switch l.rng.IntN(6) {
		case 0: // as the job has it, or would, but in another case, as a text, or as a blob
			near := "SELECT CASE WHEN near IS NOT made THEN near ELSE CAST(near AS BLOB) END FROM " +
				"(SELECT upper(CAST(made AS TEXT)) AS near, made FROM (SELECT " + rewritten + " AS made FROM (SELECT " + row.v + " AS v)))"
			if err := l.db.QueryRow("SELECT quote((" + near + "))").Scan(&next.v); err != nil {
				return err
			}
		case 1:
			next.v = strconv.Itoa(l.rng.IntN(1000) + 1_000_000)
		case 2:
			next.v = fmt.Sprintf("%d.0", l.rng.IntN(1000))
		case 3, 4:
			next.w = fmt.Sprintf("'w%d'", l.writes)
		case 5:
			next = nil
		}
		statement = fmt.Sprintf("DELETE FROM t WHERE id = %d", id)
		if next != nil {
			statement = fmt.Sprintf("UPDATE t SET v = %s WHERE id = %d", next.v, id)
			if next.v == row.v {
				statement = fmt.Sprintf("UPDATE t SET w = %s WHERE id = %d", next.w, id)
			}
		}
	}
	if _, err := l.db.Exec(statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	l.rows[id], l.touched[id] = next, true
	l.writes++
	return nil
}

// TestUndoKilled: a job with images and its undo, each killed twice and started again, beside
// a process that writes. Each row is then what it would be without the job, or, where others
// have written it, is listed and has what they wrote. CHUNKFILL_TEST_UNDO_ROWS has it on more
// rows; `make undo` takes 200,000.
func TestUndoKilled(t *testing.T) {
	if underRace {
		t.Skip("programs in processes of their own")
	}
	rows := 6000
	if n, err := strconv.Atoi(os.Getenv("CHUNKFILL_TEST_UNDO_ROWS")); err == nil {
		rows = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v COLLATE NOCASE, w TEXT)",
		fmt.Sprintf(`INSERT INTO t WITH RECURSIVE n (id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n WHERE id < %d)
			SELECT id, CASE id %% 3 WHEN 0 THEN id WHEN 1 THEN 'Text ' || id ELSE CAST(id AS TEXT) END, 'w' FROM n`, rows))
	live := &liveRows{db: db, rng: rand.New(rand.NewPCG(seed, 0)), rows: map[int]*liveRow{}, touched: map[int]bool{}}
	for _, row := range rowsOf(t, db, "SELECT id, quote(v), quote(w) FROM t") {
		live.rows[int(row[0].(int64))] = &liveRow{row[1].(string), row[2].(string)}
	}

	stop, ended := make(chan struct{}), sync.WaitGroup{}
	ended.Add(1)
	go func() {
		defer ended.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := live.write(); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(500 * time.Microsecond)
		}
	}()
	looks := openAt(t, path)
	killTwice(t, path, looks, "run", "j", rows)
	killTwice(t, path, looks, "undo", "undo:j", rows)
	close(stop)
	ended.Wait()
	wantAsWithout(t, db, live)
}

// killTwice starts a process that does something to a job, kills it at two of its places, and
// has it come to its end.
func killTwice(t *testing.T, path string, looks *sql.DB, does, job string, rows int) {
	t.Helper()
	for _, at := range []int{rows / 4, rows / 2, 0} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestUndoChild$")
		cmd.Env = append(os.Environ(), undoPath+"="+path, undoDoes+"="+does, undoRate+"="+strconv.Itoa(max(rows, 20_000)))
		if at > 0 {
			cmd.Env[len(cmd.Env)-1] = undoRate + "=" + strconv.Itoa(rows/2)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		if at > 0 {
			awaitRows(t, looks, job, at, done)
			_ = cmd.Process.Kill()
		}
		err := <-done
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if killed != (at > 0) || at == 0 && err != nil {
			t.Fatalf("%s: killed %v at %d of %d rows, %v", does, killed, at, rows, err)
		}
	}
}

// awaitRows waits until a job has passed some rows.
func awaitRows(t *testing.T, db *sql.DB, job string, rows int, ended chan error) {
	t.Helper()
	for {
		var passed sql.NullInt64
		err := db.QueryRow("SELECT sum(rows_scanned) FROM _async_migration_ranges WHERE name = ?", job).Scan(&passed)
		if err == nil && int(passed.Int64) >= rows {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("%s has ended: %v", job, err)
		case <-time.After(time.Millisecond):
		}
	}
}

// wantAsWithout wants the table to be what it would be without the job, but for rows that are
// listed and that others have written: in these what the job made of v may stand.
func wantAsWithout(t *testing.T, db *sql.DB, live *liveRows) {
	t.Helper()
	listed := map[int]string{}
	e := newEngine(t, db, engine.Config{})
	err := e.NotPutBack(testContext(t), "j", func(n engine.NotPutBack) error {
		id, err := strconv.Atoi(n.Key)
		listed[id] = n.Reason
		return err
	})
	if err != nil && !errors.Is(err, engine.ErrNoImages) {
		t.Fatal(err)
	}
	got := map[int]liveRow{}
	for _, row := range rowsOf(t, db, "SELECT id, quote(v), quote(w) FROM t") {
		got[int(row[0].(int64))] = liveRow{row[1].(string), row[2].(string)}
	}

	left, reasons := 0, map[string]int{}
	for id, want := range live.rows {
		row, there := got[id]
		if reason := listed[id]; reason != "" {
			reasons[reason]++
			if !live.touched[id] {
				t.Errorf("row %d is listed as %s, and nobody has written it", id, reason)
			}
		}
		switch {
		case want == nil && !there, want != nil && there && row == *want:
		case want == nil || !there || row.w != want.w || listed[id] == "":
			t.Errorf("row %d is %v (%v), want %v, listed as %q", id, row, there, want, listed[id])
		default:
			left++
			var made string
			if err := db.QueryRow("SELECT quote(" + rewritten + ") FROM (SELECT " + want.v + " AS v)").Scan(&made); err != nil || row.v != made {
				t.Errorf("row %d is %v, want %v or what the job made of it, %s; %v", id, row, want, made, err)
			}
		}
	}
	t.Logf("%d rows, %d live writes to %d of them; listed %v, of which %d are as the job left them", len(live.rows), live.writes, len(live.touched), reasons, left)
	if reasons["changed"] == 0 || reasons["other_columns"] == 0 || reasons["gone"] == 0 {
		t.Errorf("listed: %v", reasons)
	}
}
