package torture_test

import (
	"bufio"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chunkfill/chunkfill/internal/torture"
)

var archiveRows = flag.Int("archive-rows", 9500, "rows of which TestArchiveKilled moves five of nineteen")

// moving is a database from which a program moves rows into an archive.
type moving struct {
	t       testing.TB
	program string
	dir     string
	upto    int
}

var buildMover = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mover")
	if err != nil {
		return "", err
	}
	return torture.Build(dir, torture.Mover)
})

func newMoving(t testing.TB, program string, rows int) *moving {
	t.Helper()
	m := &moving{t, program, t.TempDir(), rows * 5 / 19}
	db, err := torture.Open(m.db())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(fmt.Sprintf(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL); CREATE INDEX t_v ON t (v); CREATE TABLE truth (id INTEGER PRIMARY KEY, v TEXT NOT NULL);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, hex(i * 7919) FROM n;
		INSERT INTO truth SELECT * FROM t;
		CREATE TABLE part (id INTEGER PRIMARY KEY, t INTEGER NOT NULL REFERENCES t ON DELETE CASCADE, v TEXT NOT NULL); CREATE INDEX part_t ON part (t);
		INSERT INTO part SELECT id, id, v FROM t WHERE id %% 3 = 0; INSERT INTO part SELECT -id, id, 'more' FROM t WHERE id %% 9 = 0;
		CREATE TABLE truth_part AS SELECT * FROM part; CREATE UNIQUE INDEX truth_part_id ON truth_part (id);
		CREATE TABLE held (t INTEGER PRIMARY KEY REFERENCES t); INSERT INTO held VALUES (%[1]d / 9), (%[1]d / 8);
		PRAGMA wal_checkpoint(truncate)`, rows)); err != nil {
		t.Fatal(err)
	}
	return m
}

func mover(t testing.TB) string {
	t.Helper()
	program, err := buildMover()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func (m *moving) db() string      { return filepath.Join(m.dir, "app.db") }
func (m *moving) archive() string { return filepath.Join(m.dir, "old.db") }

func (m *moving) command(args ...string) *exec.Cmd {
	return exec.Command(m.program, append([]string{"-db", m.db(), "-archive", m.archive(), "-upto", strconv.Itoa(m.upto)}, args...)...)
}

// judge tells what is wrong with the two files: a row of truth in neither, and, at the end, one in
// both, or one that the application has deleted.
func (m *moving) judge(end bool) (wrong []string) {
	m.t.Helper()
	db, err := sql.Open("sqlite", "file:"+m.db())
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	ask := func(what, query string) {
		var n int
		if err := db.QueryRow(query).Scan(&n); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", what, err))
		} else if n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d rows %s", n, what))
		}
	}
	if _, err := db.Exec("ATTACH '" + m.archive() + "' AS old"); err != nil {
		return []string{err.Error()}
	}
	old, parts := "old.t", "old.part"
	var made int
	if err := db.QueryRow("SELECT count(*) FROM old.sqlite_schema WHERE name = 't'").Scan(&made); err != nil {
		return []string{err.Error()}
	}
	if made == 0 {
		old, parts = "(SELECT NULL AS id, NULL AS v WHERE 0)", "(SELECT NULL AS id, NULL AS t, NULL AS v WHERE 0)"
	}
	ask("are in neither file as they were written last", "SELECT count(*) FROM truth LEFT JOIN main.t AS m ON m.id = truth.id LEFT JOIN "+old+" AS o ON o.id = truth.id "+
		"WHERE NOT (m.v IS truth.v OR m.id IS NULL AND o.v IS truth.v)")
	ask("of parts are in neither file as they were written last", "SELECT count(*) FROM truth_part AS r LEFT JOIN main.part AS m ON m.id = r.id LEFT JOIN "+parts+" AS o ON o.id = r.id "+
		"WHERE NOT ((m.t, m.v) IS (r.t, r.v) OR m.id IS NULL AND (o.t, o.v) IS (r.t, r.v))")
	if !end {
		return wrong
	}
	ask("of parts are in both files", "SELECT count(*) FROM main.part AS m JOIN "+parts+" AS o ON o.id = m.id")
	ask("of parts are there that were deleted", "SELECT count(*) FROM (SELECT id FROM main.part UNION SELECT id FROM "+parts+") WHERE id NOT IN (SELECT id FROM truth_part)")
	ask("of parts are without what they refer to", "SELECT (SELECT count(*) FROM main.part WHERE t NOT IN (SELECT id FROM main.t)) + (SELECT count(*) FROM "+parts+" WHERE t NOT IN (SELECT id FROM "+old+"))")
	ask("are in both files", "SELECT count(*) FROM main.t AS m JOIN "+old+" AS o ON o.id = m.id")
	ask("are there that were deleted", "SELECT count(*) FROM (SELECT id FROM main.t UNION SELECT id FROM "+old+") WHERE id NOT IN (SELECT id FROM truth)")
	ask("were not moved", fmt.Sprintf("SELECT count(*) FROM main.t WHERE id <= %d AND id NOT IN (SELECT t FROM held)", m.upto))
	ask("faults in the database", "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'")
	return wrong
}

func (m *moving) want(end bool, when string) {
	m.t.Helper()
	if wrong := m.judge(end); len(wrong) > 0 {
		m.t.Fatalf("%s: %s", when, strings.Join(wrong, "; "))
	}
}

// TestArchiveKilled moves rows beside live inserts, updates and deletes, and kills the program five
// times at random: each row, as it was written last, is in exactly one of the two files at the end, and
// at no moment in neither.
func TestArchiveKilled(t *testing.T) {
	sweeping(t)
	t.Parallel()
	rng := rand.New(rand.NewPCG(max(*seed, 1), 0))
	m := newMoving(t, mover(t), *archiveRows)
	batches, kills := 0, 0
	for kills < 5 {
		cmd := m.command("-seed", strconv.Itoa(kills+1), "-ingest", "200", "-live", "0")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		left := 1 + rng.IntN(max(3, m.upto/1500))
		for lines := bufio.NewScanner(out); left > 0 && lines.Scan(); left-- {
			batches++
		}
		_ = cmd.Process.Kill() // it may have ended
		if err := cmd.Wait(); err == nil {
			break
		}
		kills++
		m.want(false, fmt.Sprintf("-seed %d, after kill %d", max(*seed, 1), kills))
	}
	if killed, err := torture.Run(m.command("-ingest", "200", "-live", "0")); killed || err != nil {
		t.Fatalf("killed %v, %v", killed, err)
	}
	m.want(true, "at the end")
	t.Logf("%d rows, %d to move, %d kills: each row in exactly one of the two files at the end, at no moment in none", *archiveRows, m.upto, kills)
	if kills < 3 {
		t.Errorf("only %d kills", kills)
	}
}

// sweepMoves kills a program at each of its instants, and returns what is wrong then or at the end.
func sweepMoves(t testing.TB, program string, step int) (kills int, complaint string) {
	t.Helper()
	for k := 1; ; k += step {
		m := newMoving(t, program, 2000)
		cmd := m.command("-hold", "1ms")
		cmd.Env = append(os.Environ(), failpointKillAt+"="+strconv.Itoa(k))
		killed, err := torture.Run(cmd)
		if err != nil {
			return kills, fmt.Sprintf("instant %d: %v", k, err)
		}
		if wrong := m.judge(!killed); len(wrong) > 0 {
			return kills, fmt.Sprintf("instant %d: %s", k, wrong[0])
		}
		if !killed {
			return kills, ""
		}
		kills++
		if killed, err := torture.Run(m.command()); killed || err != nil {
			return kills, fmt.Sprintf("after instant %d: killed %v, %v", k, killed, err)
		}
		if wrong := m.judge(true); len(wrong) > 0 {
			return kills, fmt.Sprintf("after instant %d: %s", k, wrong[0])
		}
	}
}

// TestArchiveKilledAtEvery instant of a short job.
func TestArchiveKilledAtEvery(t *testing.T) {
	sweeping(t)
	t.Parallel()
	step := 71
	if *full {
		step = 1
	}
	kills, complaint := sweepMoves(t, mover(t), step)
	if complaint != "" {
		t.Fatal(complaint)
	}
	t.Logf("%d kills, each row in exactly one of the two files after the next start", kills)
}

// TestArchiveBlackout takes the power away after any write or sync to the two files and their logs.
//
// Found: no sync of the database's log before the first copy. TestPlantedArchive has what else is planted and caught.
func TestArchiveBlackout(t *testing.T) {
	sweeping(t)
	t.Parallel()
	wantStrace(t)
	cuts := 15
	if *full {
		cuts = 2000
	}
	made, finished, complaint := blackoutMoves(t, mover(t), cuts)
	if complaint != "" {
		t.Fatal(complaint)
	}
	t.Logf("power cut %d times: no row in neither file; the next start finished %d times with each row in exactly one", made, finished)
}

// blackoutMoves cuts the power so often and returns what is wrong then.
func blackoutMoves(t *testing.T, program string, cuts int) (made, finished int, complaint string) {
	t.Helper()
	rows := 1900
	if *full {
		rows = 4000
	}
	m := newMoving(t, program, rows)
	files := []string{m.db(), m.db() + "-wal", m.archive(), m.archive() + "-wal", m.archive() + "-journal"}
	d := &disk{durable: map[string][]byte{m.db(): mustRead(t, m.db())}, pending: map[string][]pending{}}
	events := observe(t, m.command("-hold", "1ms"), append(files, m.dir)...)
	if !contains(events, func(e event) bool { return e.file == m.dir && e.call == "sync" }) {
		return 0, 0, "the folder of the archive is not synced"
	}

	rng := rand.New(rand.NewPCG(max(*seed, 1), 0))
	places := map[int]int{}
	for range cuts / len(fates) {
		places[rng.IntN(len(events))]++
	}
	for i, e := range events {
		if e.file == m.dir {
			d.forget(e.upTo)
		} else {
			d.do(i, e)
		}
		for range places[i] {
			for _, f := range fates {
				made++
				keep := f.keep(rng)
				for _, file := range files {
					m.lay(file, d.cut(rng, file, keep))
				}
				if wrong := m.goOn(made%5 == 0); wrong != "" {
					return made, finished, fmt.Sprintf("-seed %d, cut after call %d of %d, %s reached the disk: %s", max(*seed, 1), i, len(events), f.name, wrong)
				}
				if made%5 == 0 {
					finished++
				}
			}
		}
	}
	return made, finished, ""
}

// forget is a sync of the folder: files that were removed before it are gone for good.
func (d *disk) forget(upTo int) {
	for file, list := range d.pending {
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].call == "unlink" && list[i].index < upTo {
				d.durable[file], d.pending[file] = nil, list[i+1:]
				break
			}
		}
	}
}

// removeIndexOf removes the index of a log that is about to be another.
func removeIndexOf(file string) { _ = os.Remove(file + "-shm") } // it may not be there

// lay puts a file as a power cut left it, or takes it away.
func (m *moving) lay(file string, data []byte) {
	m.t.Helper()
	err := os.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	removeIndexOf(file)
	if err == nil && data != nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// goOn judges what a power cut left, and, where that is wanted, what the next start makes of it.
func (m *moving) goOn(start bool) string {
	if wrong := m.judge(false); len(wrong) > 0 {
		return wrong[0]
	}
	if !start {
		return ""
	}
	if killed, err := torture.Run(m.command()); killed || err != nil {
		return fmt.Sprintf("the next start: killed %v, %v", killed, err)
	}
	if wrong := m.judge(true); len(wrong) > 0 {
		return "after the next start: " + wrong[0]
	}
	return ""
}

func contains(events []event, is func(event) bool) bool {
	for _, e := range events {
		if is(e) {
			return true
		}
	}
	return false
}

// TestPlantedArchive bugs are caught.
func TestPlantedArchive(t *testing.T) {
	sweeping(t)
	wantStrace(t)
	if !*full {
		t.Skip("each is a build of its own")
	}
	for _, bug := range torture.ArchiveBugs {
		t.Run(bug.Name, func(t *testing.T) {
			program, err := torture.Build(t.TempDir(), torture.Mover, bug.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			_, complaint := sweepMoves(t, program, 3)
			if complaint == "" {
				_, _, complaint = blackoutMoves(t, program, 300)
			}
			wantCaught(t, bug, complaint)
		})
	}
}
