package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// README shows serve and wrap line for line, MIGRATIONS.md buildObserverIndex. The other uses
// have a file each: example_*_test.go.

func serve(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		return err
	}
	defer eng.Close() // interrupts the job in good order; the next start goes on

	err = eng.Start(ctx, jobs.Update{ // returns at once: boot waits for no row
		Name:  "users_email_lower_v1",
		Table: "users",
		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
		Where: "email <> lower(email)",
		Todo:  "email <> lower(email)", // what is left at the end is counted, and done
	})
	if err != nil && !errors.Is(err, chunkfill.ErrCancelled) { // one that an operator has cancelled stays so
		return err
	}
	return listen(ctx, db, eng) // the application, as ever
}

// Start a job at boot. The application serves while the job runs beside it.
func Example() {
	path := exampleFile(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)`,
		`INSERT INTO users (email) VALUES ('Ada@Example.org'), ('grace@example.org'), ('EDSGER@example.org')`)
	defer os.RemoveAll(filepath.Dir(path))
	if err := serve(context.Background(), path); err != nil {
		log.Fatal(err)
	}
	// Output:
	// users_email_lower_v1: done, 3 rows scanned, 2 changed, 0 left
	// [ada@example.org grace@example.org edsger@example.org]
}

// listen stands for the application. It waits for the job, which an application
// would not do.
func listen(ctx context.Context, db *sql.DB, eng *engine.Engine) error {
	eng.Wait()
	s, err := eng.Status(ctx, "users_email_lower_v1")
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s, %d rows scanned, %d changed, %d left\n", s.Name, s.Phase, s.Rows, s.Changed, s.Left)
	fmt.Println(texts(db, "SELECT email FROM users ORDER BY id"))
	return nil
}

func wrap(ctx context.Context, store *asyncmig.Store, eng *engine.Engine) error {
	job := jobs.PathJSON("obs_path_json_v1", "observations")
	return store.RunAsyncMigration(ctx, job.Name, eng.Func(job))
}

// Turn an existing async migration into a chunked one: the name and the ledger
// stay, the function is the job's.
func ExampleEngine_Func() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE observations (id INTEGER PRIMARY KEY, raw_hex TEXT, path_json TEXT)`,
		`INSERT INTO observations (raw_hex) VALUES ('05027D1D'), ('not hex')`)
	defer remove()
	eng, err := engine.New(db, engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	store := asyncmig.NewStore(db, asyncmig.Config{})

	if err := wrap(ctx, store, eng); err != nil {
		log.Fatal(err)
	}
	store.WaitForAsyncMigrations()
	status, err := store.AsyncMigrationStatus("obs_path_json_v1")
	fmt.Println(status, err)
	fmt.Println(texts(db, "SELECT path_json FROM observations ORDER BY id"))
	// Output:
	// done <nil>
	// [["7D","1D"] []]
}

func buildObserverIndex(ctx context.Context, db *sql.DB) error {
	var built bool // at boot, by an earlier release
	err := db.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM _migrations WHERE name = 'obs_observer_ts_idx_v1')`).Scan(&built)
	if err != nil || built {
		return err
	}
	_, err = db.ExecContext(ctx,
		`CREATE INDEX IF NOT EXISTS obs_observer_ts ON observations (observer_idx, timestamp)`)
	return err
}

// Convert a migration that ran at boot and was marked in _migrations: databases
// that have its index are left alone, others get it after boot.
func Example_convertedIndexBuild() {
	ctx := context.Background()
	for _, marked := range []string{"SELECT 1", "INSERT INTO _migrations VALUES ('obs_observer_ts_idx_v1')"} {
		db, remove := exampleDB(`CREATE TABLE _migrations (name TEXT PRIMARY KEY)`, marked,
			`CREATE TABLE observations (id INTEGER PRIMARY KEY, observer_idx INTEGER, timestamp INTEGER)`)
		store := asyncmig.NewStore(db, asyncmig.Config{})
		err := store.RunAsyncMigration(ctx, "obs_observer_ts_idx_v1", buildObserverIndex)
		must(err)
		store.WaitForAsyncMigrations()
		status, err := store.AsyncMigrationStatus("obs_observer_ts_idx_v1")
		fmt.Println(status, err, texts(db, "SELECT name FROM sqlite_schema WHERE name = 'obs_observer_ts'"))
		remove()
	}
	// Output:
	// done <nil> [obs_observer_ts]
	// done <nil> []
}

func exampleFile(statements ...string) string {
	dir, err := os.MkdirTemp("", "chunkfill-example")
	must(err)
	path := filepath.Join(dir, "app.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)")
	must(err)
	for _, s := range statements {
		_, err := db.Exec(s)
		must(err)
	}
	must(db.Close())
	return path
}

func exampleDB(statements ...string) (db *sql.DB, remove func()) {
	path := exampleFile(statements...)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	must(err)
	db.SetMaxOpenConns(1)
	return db, func() {
		must(db.Close())
		must(os.RemoveAll(filepath.Dir(path)))
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// texts reads a column.
func texts(db *sql.DB, query string) (all []string) {
	rows, err := db.Query(query)
	must(err)
	defer rows.Close()
	for rows.Next() {
		var s string
		must(rows.Scan(&s))
		all = append(all, s)
	}
	must(rows.Err())
	return all
}
