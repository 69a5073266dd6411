package chunkfill_test

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
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// A host opens its database, makes an engine, and starts its jobs. The application works
// meanwhile; here it waits, which boot never does.
func Example() {
	dir, err := os.MkdirTemp("", "chunkfill")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	if err := host(context.Background(), filepath.Join(dir, "app.db")); err != nil {
		log.Fatal(err)
	}
	// Output:
	// users_email_lower_v1: 2 of 3 rows changed, 0 left
	// done, 0 rows in quarantine
}

func host(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // one connection, which the job shares with everybody

	_, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, email TEXT);
		INSERT INTO users (email) VALUES ('Ada@Example.org'), ('grace@example.org'), ('EDSGER@example.org')`)
	if err != nil {
		return err
	}

	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		return err
	}
	defer eng.Close() // before the database

	job := jobs.Update{
		Name:  "users_email_lower_v1",
		Table: "users",
		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
		Where: "email <> lower(email)",
		Todo:  "email <> lower(email)",
	}
	if err := eng.Start(ctx, job); err != nil { // it returns at once
		return err
	}

	result, err := eng.Await(ctx, job.Name)
	if errors.Is(err, chunkfill.ErrInterrupted) {
		return nil // the next start goes on
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d of %d rows changed, %d left\n", result.Name, result.Changed, result.Rows, result.Left)

	var status chunkfill.Status // also of a job that runs, here or in another process
	status, err = eng.Status(ctx, job.Name)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d rows in quarantine\n", status.Phase, len(status.Quarantine))
	return nil
}
