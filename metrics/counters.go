package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkfill/chunkfill/engine"
)

// counters add up what an Observer is told, since the process began.
type counters struct {
	scanned, changed, quarantined *prometheus.CounterVec
	batches, throttled            *prometheus.CounterVec
	hold, wait                    *prometheus.HistogramVec
}

// jobName is the label that each metric has. Prometheus gives "job" to its targets.
const jobName = "job_name"

// From a tenth of a millisecond to a second; the default TargetHold, 2 ms, and QuietHold, 5
// or 20 ms, are bounds.
var buckets = []float64{.0001, .00025, .0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1}

func newCounters() counters {
	return counters{
		scanned:     counter("rows_scanned_total", "Rows that the job has passed, changed or not."),
		changed:     counter("rows_changed_total", "Rows that the job has rewritten or deleted."),
		quarantined: counter("rows_quarantined_total", "Rows on which the job has failed, and that were put into quarantine."),
		batches:     counter("batches_total", "Batches, by outcome.", "outcome"),
		throttled:   counter("throttled_seconds_total", "Time that the job did not hold the writer, by reason.", "reason"),
		hold:        histogram("hold_seconds", "How long the job held the writer at a time, by kind.", "kind"),
		wait:        histogram("hold_wait_seconds", "How long the job waited for the connection before a hold."),
	}
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + name, Help: help}, append([]string{jobName}, labels...))
}

func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: namespace + name, Help: help, Buckets: buckets},
		append([]string{jobName}, labels...))
}

// observe adds one observation.
func (c *counters) observe(job string, what engine.Observation) {
	switch what := what.(type) {
	case engine.Hold:
		c.hold.WithLabelValues(job, string(what.Kind)).Observe(what.Held.Seconds())
		c.wait.WithLabelValues(job).Observe(what.Waited.Seconds())
		if what.Kind == engine.HoldBatch {
			c.batch(job, what)
		}
	case engine.Wait:
		c.throttled.WithLabelValues(job, reason(what)).Add(what.For.Seconds())
	case engine.PhaseChange:
		if what.From == "" {
			c.begin(job)
		}
	}
}

func (c *counters) batch(job string, h engine.Hold) {
	c.batches.WithLabelValues(job, string(h.Outcome)).Inc()
	c.scanned.WithLabelValues(job).Add(float64(h.Rows))
	c.changed.WithLabelValues(job).Add(float64(h.Changed))
	if h.Outcome == engine.Quarantined {
		c.quarantined.WithLabelValues(job).Inc()
	}
}

// reason is that of a wait as a label, which cannot be empty.
func reason(w engine.Wait) string {
	if w.Reason == "" {
		return "work between two holds"
	}
	return string(w.Reason)
}

// begin has the counters of a job be there, at 0: a rate needs a value before the first.
func (c *counters) begin(job string) {
	for _, v := range []*prometheus.CounterVec{c.scanned, c.changed, c.quarantined} {
		v.WithLabelValues(job)
	}
	for _, outcome := range []engine.Outcome{engine.Committed, engine.Quarantined, engine.Busy, engine.RolledBack} {
		c.batches.WithLabelValues(job, string(outcome))
	}
}

func (c *counters) forget(job string) {
	of := prometheus.Labels{jobName: job}
	for _, v := range []*prometheus.CounterVec{c.scanned, c.changed, c.quarantined, c.batches, c.throttled} {
		v.DeletePartialMatch(of)
	}
	c.hold.DeletePartialMatch(of)
	c.wait.DeletePartialMatch(of)
}

func (c *counters) all() []prometheus.Collector {
	return []prometheus.Collector{c.scanned, c.changed, c.quarantined, c.batches, c.throttled, c.hold, c.wait}
}

func (c *counters) describe(ch chan<- *prometheus.Desc) {
	for _, v := range c.all() {
		v.Describe(ch)
	}
}

func (c *counters) collect(ch chan<- prometheus.Metric) {
	for _, v := range c.all() {
		v.Collect(ch)
	}
}
