package record_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// dump is the text of all tables and of all their rows.
func dump(t testing.TB, db *sql.DB) (lines []string) {
	t.Helper()
	lines = column(t, db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
	for _, table := range column(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name") {
		columns := column(t, db, "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info('"+table+"')")[0]
		for _, row := range column(t, db, "SELECT "+columns+" FROM "+table+" ORDER BY 1") {
			lines = append(lines, table+": "+row)
		}
	}
	return lines
}

// column are the rows of a query of one column.
func column(t testing.TB, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(testContext(t), query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		all = append(all, text)
	}
	must(t, rows.Err())
	return all
}

func downgrade(t testing.TB, db *sql.DB) error {
	t.Helper()
	return inTx(t, db, func(tx *sql.Tx) error { return record.DowngradeTx(testContext(t), tx) })
}

// Up and down again nothing is lost or changed, to the text of each table; and once more.
// Planted and caught: working_us and throttled_us swapped on the way down; a space more in
// the text of the quarantine; the version that is not set back.
func TestUpAndDown(t *testing.T) {
	db := withVersion1(t, "j", "other")
	before := dump(t, db)
	must(t, downgrade(t, db)) // nothing to do
	wantEqual(t, dump(t, db), before)

	for range 2 {
		must(t, record.UpgradeTx(testContext(t), db))
		wantEqual(t, load(t, db, "j"), filled("j"))
		must(t, downgrade(t, db))
		wantEqual(t, dump(t, db), before)
	}
	must(t, record.UpgradeTx(testContext(t), db))
	wantEqual(t, load(t, db, "other"), filled("other"))
}

// rewriting is a job that version 1 can hold, made by this version.
func rewriting(name string) chunkfill.Checkpoint {
	c := taken(name, "run")
	c.Steps = []chunkfill.Step{{Name: "walk", Kind: chunkfill.Walk}, {Name: "verify", Kind: chunkfill.Verify, Of: "walk"}}
	c.Step, c.Back, c.Takebacks = "verify", false, []chunkfill.Takeback{}
	return c
}

// A database that has never seen version 1 gets its tables, with all that they can hold.
func TestDownOfWhatBeganHere(t *testing.T) {
	db := withTables(t)
	want := rewriting("j")
	must(t, record.TakeTx(testContext(t), db, want, noon))
	must(t, record.Ask(testContext(t), db, "j", chunkfill.Pause, "ann", "lunch"))
	must(t, record.QuarantineTx(testContext(t), db, "j", "walk", "key", "error", noon))
	must(t, downgrade(t, db))

	wantEqual(t, schema(t, db), schema(t, withVersion1(t, "j")))
	want.Steps, want.Step, want.Pins = []chunkfill.Step{}, "", map[string]string{} // not known there
	want.Request = chunkfill.Request{Control: chunkfill.Pause, By: "ann", Reason: "lunch"}
	wantEqual(t, load(t, db, "j"), want)
	bad, err := record.Quarantine(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, bad, []chunkfill.BadRow{{Step: "walk", Key: "key", Error: "error", Attempts: 1, At: noon}})

	empty := open(t)
	must(t, downgrade(t, empty))
	wantEqual(t, len(schema(t, empty)), 0)
}

// What version 1 cannot hold is refused with its name, and nothing has changed.
// Planted and caught: each condition of rewritesRows left out.
func TestDownIsRefused(t *testing.T) {
	walk := chunkfill.Step{Name: "walk", Kind: chunkfill.Walk}
	for what, change := range map[string]func(*chunkfill.Checkpoint){
		"": func(*chunkfill.Checkpoint) {},
		"another step": func(c *chunkfill.Checkpoint) {
			c.Steps = append(c.Steps, chunkfill.Step{Name: "swap", Kind: chunkfill.Once})
		},
		"another verify":     func(c *chunkfill.Checkpoint) { c.Steps[1].Name, c.Step = "compare", "compare" },
		"no return":          func(c *chunkfill.Checkpoint) { c.Steps[0].NoReturn = true },
		"a walk first":       func(c *chunkfill.Checkpoint) { c.Steps, c.Step = []chunkfill.Step{walk, walk}, "walk" },
		"back":               func(c *chunkfill.Checkpoint) { c.Back = true },
		"reverting":          func(c *chunkfill.Checkpoint) { c.Phase = chunkfill.Reverting },
		"not begun its walk": func(c *chunkfill.Checkpoint) { c.Entered = false },
	} {
		db := withTables(t)
		c := rewriting("this one")
		change(&c)
		must(t, record.TakeTx(testContext(t), db, rewriting("fine"), noon))
		must(t, record.TakeTx(testContext(t), db, c, noon))
		wantRefused(t, db, what)
	}

	for what, statement := range map[string]string{
		"one more range": "INSERT INTO _async_migration_ranges SELECT name, 'copy', entered, reason, run_id, owner_pid, owner_host, owner_since, " +
			"'', '', '', 0, 0, 0, 0, 0, 0, 0, 0, updated_at FROM _async_migration_ranges WHERE name = 'this one'",
		"a row of another range": "INSERT INTO _async_migration_quarantine VALUES ('this one', 'copy', 'key', 'error', 1, '')",
	} {
		db := withTables(t)
		must(t, record.TakeTx(testContext(t), db, rewriting("fine"), noon))
		must(t, record.TakeTx(testContext(t), db, rewriting("this one"), noon))
		exec(t, db, statement)
		wantRefused(t, db, what)
	}
}

// wantRefused checks that the way down is refused for one of two jobs; for none if what is
// wrong with it is "".
func wantRefused(t *testing.T, db *sql.DB, what string) {
	t.Helper()
	before := dump(t, db)
	err := downgrade(t, db)
	if what == "" {
		must(t, err)
		return
	}
	wantErr(t, err, record.ErrNoDowngrade)
	if err != nil && (!strings.Contains(err.Error(), "this one") || strings.Contains(err.Error(), "fine")) {
		t.Errorf("%s: %v", what, err)
	}
	wantEqual(t, dump(t, db), before)
}

// Tables that cannot be understood stay as they are.
func TestDownOfWhatCannotBeRead(t *testing.T) {
	for damage, want := range map[string]error{
		"DELETE FROM _async_migration_ranges":                           chunkfill.ErrUnreadable, // a job would be lost
		"UPDATE _async_migration_jobs SET steps = 'walk'":               chunkfill.ErrUnreadable,
		"UPDATE _async_migration_schema SET version = 'two'":            chunkfill.ErrUnreadable,
		"UPDATE _async_migration_schema SET version = version + 1":      chunkfill.ErrNewer,
		"ALTER TABLE _async_migration_quarantine RENAME COLUMN at TO x": nil,
	} {
		db := withTables(t)
		must(t, record.TakeTx(testContext(t), db, rewriting("j"), noon))
		exec(t, db, damage)
		before := dump(t, db)
		err := downgrade(t, db)
		if err == nil {
			t.Errorf("%s: done all the same", damage)
		}
		if want != nil {
			wantErr(t, err, want)
		}
		wantEqual(t, dump(t, db), before)
	}
}

// A rollback undoes it.
func TestDownIsPartOfTheTransaction(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, rewriting("j"), noon))
	before := dump(t, db)
	err := inTx(t, db, func(tx *sql.Tx) error {
		must(t, record.DowngradeTx(testContext(t), tx))
		return context.Canceled
	})
	wantErr(t, err, context.Canceled)
	wantEqual(t, dump(t, db), before)
}

// Jobs that an older version may still run are those that have not ended for good, in
// tables of its own. Planted and caught: those that are done, too.
func TestMayRun(t *testing.T) {
	phases := []chunkfill.Phase{chunkfill.Registered, chunkfill.Running, chunkfill.Verifying, chunkfill.Paused, chunkfill.Waiting,
		chunkfill.Interrupted, chunkfill.Failed, chunkfill.Cancelled, chunkfill.Done}
	var names []string
	for _, phase := range phases {
		names = append(names, string(phase))
	}
	db := withVersion1(t, names...)
	exec(t, db, "UPDATE _async_migration_checkpoints SET phase = name")
	got, err := record.MayRun(testContext(t), db)
	must(t, err)
	wantEqual(t, got, []string{"failed", "interrupted", "paused", "registered", "running", "verifying", "waiting"})

	must(t, record.UpgradeTx(testContext(t), db))
	for _, db := range []*sql.DB{db, open(t)} {
		got, err = record.MayRun(testContext(t), db)
		must(t, err)
		wantEqual(t, len(got), 0)
	}
}
