package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/engine"
)

const namespace = "chunkfill_"

// What is so when a scrape comes.
var (
	descPhase      = describe("job_phase", "1 for the phase in which the job is, 0 for all others.", jobName, "phase")
	descProgress   = describe("progress_ratio", "How much of the walk over the table is done, 0 to 1; no series where that cannot be known.", jobName)
	descETA        = describe("eta_seconds", "How much longer the job works, as likely less as more; no series where that cannot be known.", jobName)
	descETALow     = describe("eta_low_seconds", "How much longer the job works at least, in nine cases of ten between this and chunkfill_eta_high_seconds.", jobName)
	descETAHigh    = describe("eta_high_seconds", "How much longer the job works at most, likewise.", jobName)
	descBatch      = describe("batch_rows", "Rows that the next batch is meant to have.", jobName)
	descQuarantine = describe("quarantine_rows", "Rows that are in quarantine now.", jobName)
	descWAL        = describe("wal_bytes", "Length of the write-ahead log as a job that runs in this process sees it.", jobName)
	descUpdated    = describe("job_updated_timestamp_seconds", "When the job last had a batch or changed its phase, since the epoch.", jobName)
	descRead       = describe("jobs_read_success", "1 if the jobs that do not run in this process could be read, 0 if what is shown of them is older.")
	gauges         = []*prometheus.Desc{descPhase, descProgress, descETA, descETALow, descETAHigh, descBatch, descQuarantine, descWAL, descUpdated, descRead}
	phases         = []chunkfill.Phase{chunkfill.Registered, chunkfill.Running, chunkfill.Verifying, chunkfill.Reverting, chunkfill.Paused,
		chunkfill.Waiting, chunkfill.Interrupted, chunkfill.Cancelled, chunkfill.Failed, chunkfill.Done}
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// show shows how a job stands.
func show(ch chan<- prometheus.Metric, s engine.Status, moved time.Time) {
	for _, phase := range phases {
		is := 0.0
		if phase == s.Phase {
			is = 1
		}
		ch <- gauge(descPhase, is, s.Name, string(phase))
	}

	if s.Fraction >= 0 {
		ch <- gauge(descProgress, s.Fraction, s.Name)
	}
	for desc, eta := range map[*prometheus.Desc]time.Duration{descETA: s.ETA, descETALow: s.ETALow, descETAHigh: s.ETAHigh} {
		if eta >= 0 {
			ch <- gauge(desc, eta.Seconds(), s.Name)
		}
	}
	ch <- gauge(descBatch, float64(s.BatchRows), s.Name)
	ch <- gauge(descQuarantine, float64(s.Quarantined), s.Name)
	if !moved.IsZero() {
		ch <- gauge(descUpdated, float64(moved.UnixMilli())/1000, s.Name)
	}
}
