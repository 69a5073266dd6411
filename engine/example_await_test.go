package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// boot stands for the application's own: it starts the jobs of the release and returns.
func boot(ctx context.Context, db *sql.DB) (*engine.Engine, error) {
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		return nil, err
	}
	err = eng.Start(ctx, jobs.Update{
		Name:  "users_email_lower_v1",
		Table: "users",
		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
		Where: "email <> lower(email)",
		Todo:  "email <> lower(email)",
	})
	if err != nil {
		return nil, errors.Join(err, eng.Close())
	}
	return eng, nil
}

// Wait, in a test of the application, for a job that its boot starts. (For a test of the job
// alone there is enginetest.Run.)
func ExampleEngine_Await() {
	db, remove := exampleDB(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)`,
		`INSERT INTO users (email) VALUES ('Ada@Example.org'), ('grace@example.org'), ('EDSGER@example.org')`)
	defer remove()
	eng, err := boot(context.Background(), db)
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	result, err := eng.Await(ctx, "users_email_lower_v1")
	fmt.Println(result.Phase, err)
	fmt.Println(result.Changed, "changed,", result.Left, "left,", len(result.Quarantine), "in quarantine")
	fmt.Println(texts(db, "SELECT email FROM users ORDER BY id"))
	// Output:
	// done <nil>
	// 2 changed, 0 left, 0 in quarantine
	// [ada@example.org grace@example.org edsger@example.org]
}
