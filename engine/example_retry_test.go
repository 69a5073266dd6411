package engine_test

import (
	"context"
	"fmt"
	"log"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// A row that the job fails on goes into quarantine and does not stop the job. Fix it, then
// Retry does what is left there.
func ExampleEngine_Retry() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE)`,
		`INSERT INTO users (email) VALUES ('ada@example.org'), ('Grace@example.org'), ('ADA@example.org')`)
	defer remove()
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	job := jobs.Update{
		Name:  "users_email_lower_v1",
		Table: "users",
		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
		Where: "email <> lower(email)",
	}
	result, err := eng.Run(ctx, job)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Phase, "-", result.Changed, "changed")
	for _, row := range result.Quarantine {
		fmt.Printf("users %s: %s\n", row.Key, row.Error)
	}

	// The two accounts are one person's.
	if _, err := db.ExecContext(ctx, "DELETE FROM users WHERE id = 1"); err != nil {
		log.Fatal(err)
	}
	result, err = eng.Retry(ctx, job)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Phase, "-", result.Changed, "changed,", len(result.Quarantine), "in quarantine")
	fmt.Println(texts(db, "SELECT email FROM users ORDER BY id"))
	// Output:
	// done - 1 changed
	// users ["3"]: constraint failed: UNIQUE constraint failed: users.email (2067)
	// done - 2 changed, 0 in quarantine
	// [grace@example.org ada@example.org]
}
