package otel_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// observer reports what jobs do to a meter. Instruments may be used by several jobs at once.
type observer struct {
	rows    metric.Int64Counter
	batches metric.Int64Counter
	held    metric.Float64Histogram
	waited  metric.Float64Counter
}

func newObserver(meter metric.Meter) (o observer, err error) {
	if o.rows, err = meter.Int64Counter("chunkfill.rows", metric.WithUnit("{row}"), metric.WithDescription("Rows scanned.")); err != nil {
		return o, err
	}
	if o.batches, err = meter.Int64Counter("chunkfill.batches", metric.WithUnit("{batch}")); err != nil {
		return o, err
	}
	if o.held, err = meter.Float64Histogram("chunkfill.hold.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.0005, .001, .002, .005, .01, .02, .05, .1, .5)); err != nil {
		return o, err
	}
	o.waited, err = meter.Float64Counter("chunkfill.throttled", metric.WithUnit("s"))
	return o, err
}

// Observe implements engine.Observer.
func (o observer) Observe(job string, what engine.Observation) {
	ctx, name := context.Background(), attribute.String("chunkfill.job", job)
	switch what := what.(type) {
	case engine.Hold:
		o.held.Record(ctx, what.Held.Seconds(), metric.WithAttributes(name, attribute.String("kind", string(what.Kind))))
		if what.Kind == engine.HoldBatch {
			o.rows.Add(ctx, int64(what.Rows), metric.WithAttributes(name))
			o.batches.Add(ctx, 1, metric.WithAttributes(name, attribute.String("outcome", string(what.Outcome))))
		}
	case engine.Wait:
		o.waited.Add(ctx, what.For.Seconds(), metric.WithAttributes(name, attribute.String("reason", string(what.Reason))))
	}
}

// Report what a job does to OpenTelemetry. The application has an exporter in place of the
// manual reader.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "chunkfill")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "app.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT DEFAULT 'Click');
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000) INSERT INTO events (id) SELECT i FROM c`)
	if err != nil {
		log.Fatal(err)
	}

	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	observer, err := newObserver(provider.Meter("example.org/service"))
	if err != nil {
		log.Fatal(err)
	}
	eng, err := engine.New(db, engine.Config{SoleProcess: true, Observer: observer})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	job := jobs.Update{Name: "events_kind_v1", Table: "events", Set: []jobs.Assign{{Column: "kind", Expr: "lower(kind)"}}}
	if _, err := eng.Run(ctx, job); err != nil {
		log.Fatal(err)
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		log.Fatal(err)
	}
	var names []string
	for _, m := range all.ScopeMetrics[0].Metrics {
		names = append(names, m.Name)
		if rows, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "chunkfill.rows" {
			point := rows.DataPoints[0]
			fmt.Println(m.Name, point.Value, point.Attributes.Encoded(attribute.DefaultEncoder()))
		}
	}
	slices.Sort(names)
	fmt.Println(names)
	// Output:
	// chunkfill.rows 1000 chunkfill.job=events_kind_v1
	// [chunkfill.batches chunkfill.hold.duration chunkfill.rows chunkfill.throttled]
}
