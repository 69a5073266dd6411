package engine_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Have jobs wait while the application has other work to do.
func ExampleConfig_throttle() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT DEFAULT 'Click')`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) INSERT INTO events (id) SELECT i FROM c`)
	defer remove()

	var queued atomic.Int64 // messages that the application has yet to send
	queued.Store(2000)
	eng, err := engine.New(db, engine.Config{SoleProcess: true, Throttle: func(context.Context) (time.Duration, string) {
		if queued.Load() < 1000 {
			return 0, ""
		}
		return 100 * time.Millisecond, "the mail queue is long"
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	err = eng.Start(ctx, jobs.Update{Name: "events_kind_v1", Table: "events", Set: []jobs.Assign{{Column: "kind", Expr: "lower(kind)"}}})
	if err != nil {
		log.Fatal(err)
	}
	s := until(ctx, eng, "events_kind_v1", checkpoint.Waiting)
	fmt.Println(s.Phase, "-", s.Reason)

	queued.Store(0)
	s, err = eng.Await(ctx, "events_kind_v1")
	fmt.Println(s.Phase, s.Changed, err)
	// Output:
	// waiting - host: the mail queue is long
	// done 500 <nil>
}

// Stop a job where going on would do harm. It stays paused, over restarts, too, until
// somebody has looked and resumes it.
func ExampleConfig_critical() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT DEFAULT 'Click')`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) INSERT INTO events (id) SELECT i FROM c`)
	defer remove()

	var failing atomic.Bool // most requests of the last minute have failed
	failing.Store(true)
	eng, err := engine.New(db, engine.Config{SoleProcess: true, Actor: "ops", Critical: func(context.Context) string {
		if !failing.Load() {
			return ""
		}
		return "most requests fail"
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	err = eng.Start(ctx, jobs.Update{Name: "events_kind_v1", Table: "events", Set: []jobs.Assign{{Column: "kind", Expr: "lower(kind)"}}})
	if err != nil {
		log.Fatal(err)
	}
	s := until(ctx, eng, "events_kind_v1", checkpoint.Paused)
	fmt.Println(s.Phase, "-", s.Reason)

	failing.Store(false)
	if err := eng.Resume(ctx, "events_kind_v1", "it was the deploy"); err != nil {
		log.Fatal(err)
	}
	s, err = eng.Await(ctx, "events_kind_v1")
	fmt.Println(s.Phase, s.Changed, err)
	// Output:
	// paused - paused by critical signal: most requests fail
	// done 500 <nil>
}

// Tell somebody how a job has ended.
func ExampleConfig_onDone() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT CHECK (email <> ''))`,
		`INSERT INTO users (email) VALUES ('Ada@example.org'), ('GRACE@example.org')`)
	defer remove()
	eng, err := engine.New(db, engine.Config{
		SoleProcess: true,
		OnDone:      func(s engine.Status) { fmt.Println("mail:", s.Name, "is", s.Ledger, "-", s.Changed, "rows changed") },
		OnFailed:    func(s engine.Status, err error) { fmt.Println("page:", s.Name, "has", s.Ledger) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	lower := jobs.Update{Name: "users_email_lower_v1", Table: "users", Set: []jobs.Assign{{Column: "email", Expr: "lower(email)"}}}
	empty := jobs.Update{Name: "users_email_empty_v1", Table: "users", Set: []jobs.Assign{{Column: "email", Expr: "''"}}}
	for _, job := range []jobs.Job{lower, empty} {
		if err := eng.Start(ctx, job); err != nil {
			log.Fatal(err)
		}
		eng.Wait()
	}
	// Output:
	// mail: users_email_lower_v1 is done - 2 rows changed
	// page: users_email_empty_v1 has failed
}

// Guard code that reads only what a job has rewritten: it runs the job, waits for whoever
// runs it, or says what is in the way.
func ExampleEngine_EnsureDone() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)`,
		`INSERT INTO users (email) VALUES ('Ada@Example.org'), ('grace@example.org')`)
	defer remove()
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	err = eng.EnsureDone(ctx, jobs.Update{
		Name:  "users_email_lower_v1",
		Table: "users",
		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
	})
	if err != nil {
		log.Fatal("the login by email cannot be switched on yet: ", err)
	}
	fmt.Println(texts(db, "SELECT email FROM users ORDER BY id"))
	// Output:
	// [ada@example.org grace@example.org]
}
