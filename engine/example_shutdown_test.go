package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Stop a service in good order: the job is interrupted after the batch at hand, and the next
// start goes on from there. The engine is closed before the database.
func ExampleEngine_Shutdown() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	db, remove := exampleDB(`CREATE TABLE events (id INTEGER PRIMARY KEY, n INT DEFAULT 0)`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO events (id) SELECT i FROM c`)
	defer remove() // closes the database
	job := jobs.Update{Name: "events_n_v1", Table: "events", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}

	eng, err := engine.New(db, engine.Config{SoleProcess: true, MaxRate: 10})
	if err != nil {
		log.Fatal(err)
	}
	if err := eng.Start(ctx, job); err != nil { // ctx may end: that alone does not stop the job
		log.Fatal(err)
	}
	until(ctx, eng, "events_n_v1", checkpoint.Running)

	// <-ctx.Done(), and the servers have stopped. Now the engine, for at most 20 seconds.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := eng.Shutdown(limit); err != nil {
		log.Fatal(err)
	}
	fmt.Println("nothing begins any more:", errors.Is(eng.Start(ctx, job), engine.ErrClosed))
	s, err := engine.ReadStatus(limit, db, "events_n_v1")
	fmt.Println(s.Phase, err)

	// The next boot.
	eng, err = engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	if err := eng.Start(limit, job); err != nil {
		log.Fatal(err)
	}
	s, err = eng.Await(limit, "events_n_v1")
	fmt.Println(s.Phase, err, texts(db, "SELECT DISTINCT n FROM events"))
	// Output:
	// nothing begins any more: true
	// interrupted <nil>
	// done <nil> [1]
}
