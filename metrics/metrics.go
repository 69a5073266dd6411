// Package metrics shows the jobs of an engine to Prometheus.
//
//	collector := metrics.New()
//	eng, err := engine.New(db, engine.Config{Observer: collector})
//	…
//	collector.Follow(eng)
//	prometheus.MustRegister(collector)
//
// docs/metrics.md lists the metrics. The folder grafana has a dashboard, the folder alerts
// alert rules.
//
// A scrape asks the engine's memory for the jobs that run in it. For the others it makes
// one read on the engine's own connection, no more than one a second, and does not wait
// for it longer than 250 ms: then it shows what was read before, and
// chunkfill_jobs_read_success is 0. It never waits for a writer, nor, with a database in a
// file, for the application's connection.
//
// The label job_name is the name of a job. It is not "job", since Prometheus gives that
// label to the target that it scrapes. No label has a key or the text of an error in it, so
// there are few series per job, and those of a job go when it is forgotten.
package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkfill/chunkfill/engine"
)

// Collector shows the jobs of one engine. It is an [engine.Observer] and a
// [prometheus.Collector], and safe for concurrent use. Where one process has engines on
// several databases, each gets a Collector, registered with
// [prometheus.WrapRegistererWith] and a label of the database.
type Collector struct {
	counters counters
	engine   atomic.Pointer[engine.Engine]
	list     list

	mu   sync.Mutex
	jobs map[string]observed // by name: what the engine's Observer was told
}

// observed is what was last told of a job.
type observed struct {
	moved time.Time // its latest batch that was committed, or change of phase
	wal   int64
}

var (
	_ engine.Observer      = (*Collector)(nil)
	_ prometheus.Collector = (*Collector)(nil)
)

// New returns a Collector, to be given to an engine as its Observer.
func New() *Collector {
	return &Collector{counters: newCounters(), jobs: map[string]observed{}}
}

// Follow has the Collector show how the jobs of eng stand, beside what it is told as the
// Observer of eng. Call it when there is an engine, once.
func (c *Collector) Follow(eng *engine.Engine) { c.engine.Store(eng) }

// Observe implements [engine.Observer].
func (c *Collector) Observe(job string, what engine.Observation) {
	now := time.Now()
	c.counters.observe(job, what)

	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.jobs[job]
	switch what := what.(type) {
	case engine.Hold:
		if what.Kind == engine.HoldBatch && committed(what.Outcome) {
			o.moved = now
		}
	case engine.PhaseChange:
		o.moved = now
	case engine.WALSize:
		o.wal = what.Bytes
	}
	c.jobs[job] = o
}

func committed(o engine.Outcome) bool { return o == engine.Committed || o == engine.Quarantined }

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	c.counters.describe(ch)
	for _, desc := range gauges {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.counters.collect(ch)
	eng := c.engine.Load()
	if eng == nil {
		return
	}

	running := map[string]bool{}
	for name, o := range c.observed() {
		if s, ok := eng.Progress(name); ok {
			running[name] = true
			show(ch, s, o.moved)
			ch <- gauge(descWAL, float64(o.wal), name)
		}
	}

	began := time.Now()
	stored, fresh := c.list.read(eng)
	known := map[string]bool{}
	for _, s := range stored {
		known[s.Name] = true
		if !running[s.Name] {
			show(ch, s, s.UpdatedAt)
		}
	}
	if fresh {
		c.forget(known, running, began.Add(-forgetAfter))
		ch <- gauge(descRead, 1)
	} else {
		ch <- gauge(descRead, 0)
	}
}

func (c *Collector) observed() map[string]observed {
	c.mu.Lock()
	defer c.mu.Unlock()
	jobs := make(map[string]observed, len(c.jobs))
	for name, o := range c.jobs {
		jobs[name] = o
	}
	return jobs
}

// forgetAfter is how long a job must have been silent that is in no record, before its
// series go: one that begins is in none for a moment.
const forgetAfter = time.Minute

// forget drops the series of jobs that are neither stored nor running.
func (c *Collector) forget(known, running map[string]bool, before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, o := range c.jobs {
		if !known[name] && !running[name] && o.moved.Before(before) {
			delete(c.jobs, name)
			c.counters.forget(name)
		}
	}
}
