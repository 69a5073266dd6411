package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// README shows serve and wrap line for line, MIGRATIONS.md buildObserverIndex and what it asks. The other uses
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

func buildObserverIndex(eng *engine.Engine) func(context.Context, *sql.DB) error {
	job := jobs.Index{
		Name:   "obs_observer_ts_idx_v1",
		Table:  "observations",
		Create: "CREATE INDEX obs_observer_ts ON observations (observer_idx, timestamp)",
		Twin:   true,
	}
	return func(ctx context.Context, db *sql.DB) error {
		var marked bool // by an earlier release, at boot
		err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM _migrations WHERE name = ?)`, job.Name).Scan(&marked)
		if err != nil || marked {
			return err
		}

		there, err := observerIndexIsThere(ctx, db, job.Name)
		if err != nil {
			return err
		}
		if there {
			slog.InfoContext(ctx, "the index is there already, nothing is built", "migration", job.Name)
		} else if err := eng.Func(job)(ctx, db); err != nil {
			return err
		}

		_, err = db.ExecContext(ctx, `INSERT OR IGNORE INTO _migrations (name) VALUES (?)`, job.Name)
		return err
	}
}

// observerIndexIsThere: made by hand, or by a release that ended before it wrote the marker. Once the job has
// begun, it is the job that knows.
func observerIndexIsThere(ctx context.Context, db *sql.DB, job string) (bool, error) {
	if _, err := checkpoint.Load(ctx, db, job); !errors.Is(err, checkpoint.ErrUnknown) {
		return false, err
	}
	var columns sql.NullString
	err := db.QueryRowContext(ctx, `SELECT group_concat(c.name) FROM pragma_index_list('observations') AS i, pragma_index_info(i.name) AS c
		WHERE i.name = 'obs_observer_ts' AND NOT i.partial`).Scan(&columns)
	return columns.String == "observer_idx,timestamp", err
}

// Convert an index build that ran at boot and was marked in _migrations: databases that have the index
// are left alone, others get it after boot, beside live writes. The marker stands in all of them in the end.
func Example_convertedIndexBuild() {
	ctx := context.Background()
	for _, before := range []string{
		"SELECT 'a new database'",
		"INSERT INTO _migrations VALUES ('obs_observer_ts_idx_v1')",
		"CREATE INDEX obs_observer_ts ON observations (observer_idx, timestamp)",
	} {
		db, remove := exampleDB(`CREATE TABLE _migrations (name TEXT PRIMARY KEY)`,
			`CREATE TABLE observations (id INTEGER PRIMARY KEY, observer_idx INTEGER, timestamp INTEGER)`, before)
		eng, err := engine.New(db, engine.Config{SoleProcess: true})
		must(err)
		store := asyncmig.NewStore(db, asyncmig.Config{})

		err = store.RunAsyncMigration(ctx, "obs_observer_ts_idx_v1", buildObserverIndex(eng)) // returns at once
		must(err)
		store.WaitForAsyncMigrations()

		status, err := store.AsyncMigrationStatus("obs_observer_ts_idx_v1")
		fmt.Println(status, err, texts(db, "SELECT name FROM _migrations"), texts(db, "SELECT name FROM sqlite_schema WHERE name = 'obs_observer_ts'"))
		must(eng.Close())
		remove()
	}
	// Output:
	// done <nil> [obs_observer_ts_idx_v1] [obs_observer_ts]
	// done <nil> [obs_observer_ts_idx_v1] []
	// done <nil> [obs_observer_ts_idx_v1] [obs_observer_ts]
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
