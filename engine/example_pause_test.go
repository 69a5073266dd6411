package engine_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Pause a job during a release and let it go on afterwards. Both reach the job in whatever
// process it runs, and a pause survives restarts.
func ExampleEngine_Pause() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE events (id INTEGER PRIMARY KEY, day TEXT, at INT DEFAULT 0)`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) INSERT INTO events (id) SELECT i FROM c`)
	defer remove()
	eng, err := engine.New(db, engine.Config{SoleProcess: true, MaxRate: 1000, Actor: "ops"})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	err = eng.Start(ctx, jobs.Update{
		Name:  "events_day_v1",
		Table: "events",
		Set:   []jobs.Assign{{Column: "day", Expr: "date(at, 'unixepoch')"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	until(ctx, eng, "events_day_v1", checkpoint.Running)

	if err := eng.Pause(ctx, "events_day_v1", "release day"); err != nil {
		log.Fatal(err)
	}
	s := until(ctx, eng, "events_day_v1", checkpoint.Paused) // after the batch at hand
	fmt.Println(s.Phase, "-", s.Reason)

	if err := eng.Resume(ctx, "events_day_v1", "released"); err != nil {
		log.Fatal(err)
	}
	s, err = eng.Await(ctx, "events_day_v1")
	fmt.Println(s.Phase, s.Changed, err)
	// Output:
	// paused - paused by ops: release day
	// done 500 <nil>
}

// until waits until a job is in a phase. An application shows the phase and waits for none.
func until(ctx context.Context, eng *engine.Engine, name string, phase checkpoint.Phase) engine.Status {
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if s, err := eng.Status(ctx, name); err == nil && s.Phase == phase {
			tick.Stop()
			return s
		}
	}
}
