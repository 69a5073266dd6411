package engine_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Speed a job up while it runs: from 10 rows a second to as many as there are. What is not
// given stays, what was tuned outlives a restart, and Reset goes back to the Config.
func ExampleEngine_Tune() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE orders (id INTEGER PRIMARY KEY, currency TEXT)`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO orders (id) SELECT i FROM c`)
	defer remove()
	eng, err := engine.New(db, engine.Config{SoleProcess: true, MaxRate: 10})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	err = eng.Start(ctx, jobs.Update{
		Name:  "orders_currency_v1",
		Table: "orders",
		Set:   []jobs.Assign{{Column: "currency", Expr: "'EUR'"}},
		Where: "currency IS NULL",
	})
	if err != nil {
		log.Fatal(err)
	}
	until(ctx, eng, "orders_currency_v1", "running")

	for _, tuning := range []engine.Tuning{
		{TargetHold: time.Millisecond},                 // live writes are to wait for less
		{MaxRate: -1},                                  // no cap any more; TargetHold stays
		{ResetTargetHold: true},                        // as configured again
		{MaxRate: 20_000, TargetHold: time.Nanosecond}, // refused as a whole
	} {
		if err := eng.Tune(ctx, "orders_currency_v1", tuning); err != nil {
			fmt.Println(err)
		}
	}
	s, err := eng.Await(ctx, "orders_currency_v1")
	fmt.Println(s.Phase, s.Changed, err)
	fmt.Println("tuned:", s.Request.TargetHold, s.Request.MaxRate)
	// Output:
	// invalid engine config: TargetHold 1ns is not within 100µs and 1s
	// done 5000 <nil>
	// tuned: 0s -1
}
