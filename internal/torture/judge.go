package torture

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Verdict is what the judge found in a file.
type Verdict struct {
	Rows  int      // compared
	Live  int      // live writes that had been told they are committed, all found
	Wrong []string // what is not as it must be
}

func (v *Verdict) wrongf(format string, args ...any) {
	const enough = 10 // a row too many is followed by many
	if len(v.Wrong) < enough {
		v.Wrong = append(v.Wrong, fmt.Sprintf(format, args...))
	}
}

// Truth is what must be in a file once the subject has come to its end.
type Truth struct {
	Rows    int      // rows 0 to Rows-1 were there from the beginning
	Jobs    []string // what was run; nil for all Jobs
	Aside   []int    // rows that inc_n cannot do and must set aside
	Journal string   // lists the rows that live writes have added
}

func (t Truth) ran(job string) bool { return t.Jobs == nil || slices.Contains(t.Jobs, job) }

// least is how often a job must have done a row that was there from the beginning.
func (t Truth) least(job string, u int) int {
	if !t.ran(job) || job == "inc_n" && slices.Contains(t.Aside, u) || job == "purge" && !purged(u) {
		return 0
	}
	return 1
}

// most is how often it may have.
func (t Truth) most(job string, u int) int {
	if u >= t.Rows && t.ran(job) && job != "purge" {
		return 1 // added live, ahead of the job or behind it
	}
	return t.least(job, u)
}

// Judge compares a file with the truth.
func Judge(path string, truth Truth) (Verdict, error) {
	db, err := Open(path)
	if err != nil {
		return Verdict{}, err
	}
	defer db.Close()
	live, err := readJournal(truth.Journal)
	if err != nil {
		return Verdict{}, err
	}
	f, err := readFile(db)
	if err != nil {
		return Verdict{}, err
	}
	f.truth = truth
	v := Verdict{Rows: truth.Rows + len(live), Live: len(live)}
	for u := range truth.Rows {
		f.judgeRow(&v, u)
	}
	for _, u := range live {
		f.judgeRow(&v, u)
	}
	f.judgeCounters(&v)
	if f.integrity != "ok" {
		v.wrongf("integrity_check: %s", f.integrity)
	}
	return v, nil
}

// JudgeHalf looks at a file whose jobs are not through, as a power cut may leave it:
// whatever has been lost, rows and checkpoints must agree. Rows 0 to rows-1 were
// there before. It returns how many rewrites are in the file.
func JudgeHalf(path string, rows int) (rewrites int, v Verdict, err error) {
	db, err := Open(path)
	if err != nil {
		return 0, v, err
	}
	defer db.Close()
	f, err := readFile(db)
	if err != nil {
		return 0, v, err
	}
	v.Rows = len(f.rows)
	for u := range rows {
		if _, there := f.rows[u]; there == (f.rewrites["purge"][u] > 0) {
			v.wrongf("row %d: there %v, deleted %d times", u, there, f.rewrites["purge"][u])
		}
	}
	for u, r := range f.rows {
		n, m := f.rewrites["inc_n"][u], f.rewrites["inc_m"][u]
		if n > 1 || m > 1 || r.n != before(u)+int64(n) || r.m != before(u)+int64(m) {
			v.wrongf("row %d: counters %d and %d after %d and %d rewrites of %d", u, r.n, r.m, n, m, before(u))
		}
	}
	for what, done := range f.rewrites {
		if changed := f.jobs[what].changed; changed != len(done) {
			v.wrongf("job %s counts %d changed; %d were rewritten", what, changed, len(done))
		}
		rewrites += len(done)
	}
	if f.integrity != "ok" {
		v.wrongf("integrity_check: %s", f.integrity)
	}
	return rewrites, v, nil
}

// readJournal lists the rows whose insertion a live write was told is committed.
// A kill in the middle of a line leaves one that was not.
func readJournal(path string) (rows []int, err error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	for line := range strings.Lines(string(text)) {
		if u, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && strings.HasSuffix(line, "\n") {
			rows = append(rows, u)
		}
	}
	return rows, err
}

// file is what a database holds, as plain values.
type file struct {
	truth     Truth
	rows      map[int]row
	rewrites  map[string]map[int]int // job, row: how often
	jobs      map[string]job
	integrity string
}

type row struct {
	n, m int64
	w    string
}

type job struct {
	phase, ledger                 string
	scanned, changed, quarantined int
}

func readFile(db *sql.DB) (f file, err error) {
	f = file{rows: map[int]row{}, rewrites: map[string]map[int]int{"inc_n": {}, "inc_m": {}, "purge": {}}, jobs: map[string]job{}}
	if err = each(db, "SELECT u, n, m, coalesce(w, '') FROM t", func(scan scanner) error {
		var u int
		var r row
		err := scan(&u, &r.n, &r.m, &r.w)
		if _, twice := f.rows[u]; twice {
			return fmt.Errorf("row %d is there twice", u)
		}
		f.rows[u] = r
		return err
	}); err != nil {
		return f, err
	}
	if err = each(db, "SELECT what, u FROM rewrites", func(scan scanner) error {
		var what string
		var u int
		if err := scan(&what, &u); err != nil {
			return err
		}
		if f.rewrites[what] == nil {
			return fmt.Errorf("a rewrite by %q", what)
		}
		f.rewrites[what][u]++
		return nil
	}); err != nil {
		return f, err
	}
	var known bool
	if err = db.QueryRow("SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_async_migration_ranges'").Scan(&known); err != nil {
		return f, err
	}
	if !known {
		return f, db.QueryRow("PRAGMA integrity_check").Scan(&f.integrity)
	}
	if err = each(db, `SELECT name, phase, coalesce(status, ''), rows_scanned, rows_changed, rows_quarantined
		FROM _async_migration_jobs JOIN _async_migration_ranges USING (name) LEFT JOIN _async_migrations USING (name)`, func(scan scanner) error {
		var name string
		var j job
		err := scan(&name, &j.phase, &j.ledger, &j.scanned, &j.changed, &j.quarantined)
		f.jobs[name] = j
		return err
	}); err != nil {
		return f, err
	}
	return f, db.QueryRow("PRAGMA integrity_check").Scan(&f.integrity)
}

type scanner = func(dest ...any) error

func each(db *sql.DB, query string, row func(scanner) error) error {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// judgeRow wants the jobs to have done a row as often as they must: mostly once.
func (f file) judgeRow(v *Verdict, u int) {
	for what, rows := range f.rewrites {
		least, most := f.truth.least(what, u), f.truth.most(what, u)
		if u >= f.truth.Rows {
			least = 0
		}
		if rows[u] < least || rows[u] > most {
			v.wrongf("row %d: %s %d times", u, what, rows[u])
		}
	}
	n, m, deleted := f.rewrites["inc_n"][u], f.rewrites["inc_m"][u], f.rewrites["purge"][u]
	r, there := f.rows[u]
	switch {
	case there == (deleted > 0):
		v.wrongf("row %d: there %v, deleted %d times", u, there, deleted)
	case there && (r.n != before(u)+int64(n) || r.m != before(u)+int64(m)):
		v.wrongf("row %d: counters %d and %d after %d and %d rewrites of %d", u, r.n, r.m, n, m, before(u))
	case there && m == 1 && r.w != written(int64(u), before(u)):
		v.wrongf("row %d: w = %q", u, r.w)
	}
}

// judgeCounters wants the checkpoints to tell the truth.
func (f file) judgeCounters(v *Verdict) {
	for what, rows := range f.rewrites {
		if !f.truth.ran(what) {
			continue
		}
		done, aside := 0, 0
		for _, times := range rows {
			done += times
		}
		if what == "inc_n" {
			aside = len(f.truth.Aside)
		}
		j, known := f.jobs[what]
		switch {
		case !known:
			v.wrongf("job %s has no checkpoint", what)
		case j.phase != "done" || j.ledger != "done":
			v.wrongf("job %s: phase %s, ledger %s", what, j.phase, j.ledger)
		case j.changed != done || j.quarantined != aside || j.scanned < done+aside || what != "purge" && j.scanned != done+aside:
			v.wrongf("job %s: %d scanned, %d changed, %d set aside; %d were rewritten", what, j.scanned, j.changed, j.quarantined, done)
		}
	}
}
