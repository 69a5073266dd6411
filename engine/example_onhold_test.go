package engine_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// holdMetrics stands for the counters and histograms of the application's metrics.
type holdMetrics struct {
	mu      sync.Mutex
	rows    int
	seconds map[engine.HoldKind]float64
	longest time.Duration
}

// observe is called from the job's goroutine, after each hold.
func (m *holdMetrics) observe(h engine.Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows += h.Rows
	m.seconds[h.Kind] += h.Held.Seconds()
	m.longest = max(m.longest, h.Held)
}

// Measure for how long the job keeps the writer, and for what.
func ExampleConfig_onHold() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT DEFAULT 'Click')`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000) INSERT INTO events (id) SELECT i FROM c`)
	defer remove()
	metrics := &holdMetrics{seconds: map[engine.HoldKind]float64{}}
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: metrics.observe})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	_, err = eng.Run(ctx, jobs.Update{
		Name:  "events_kind_v1",
		Table: "events",
		Set:   []jobs.Assign{{Column: "kind", Expr: "lower(kind)"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("rows:", metrics.rows)
	fmt.Println("batches and records took time:", metrics.seconds[engine.HoldBatch] > 0, metrics.seconds[engine.HoldRecord] > 0)
	fmt.Println("a hold was measured:", metrics.longest > 0)
	// Output:
	// rows: 1000
	// batches and records took time: true true
	// a hold was measured: true
}
