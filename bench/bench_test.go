package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

const childVariable = "CHUNKFILL_BENCH_CHILD"

// TestMain lets the test binary be a child process of a run.
func TestMain(m *testing.M) {
	kind := os.Getenv(childVariable)
	if kind == "" {
		os.Exit(m.Run())
	}
	if err := ServeChild(context.Background(), ChildKind(kind), child, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(kind ChildKind) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(kind))
	return cmd
}

// BenchmarkRewrite is one trial an op, of every contender on a small table: for
// benchstat, and so that CI runs each once. The real sizes are for Run.
func BenchmarkRewrite(b *testing.B) {
	for _, shape := range []dataset.Shape{dataset.Clustered, dataset.Scattered} {
		data := dataset.Config{Rows: 20_000, Shape: shape, Collisions: -1}
		path, err := master(b.Context(), b.TempDir(), data)
		if err != nil {
			b.Fatal(err)
		}
		for _, l := range []Load{NoLoad, SteadyLoad} {
			for _, c := range Contenders() {
				if !c.suits(shape, l) || c.available() != nil {
					continue
				}
				spec := trialSpec{
					Case:   Case{Shape: shape, Rows: data.Rows, Load: l, Contender: c.Name},
					Round:  1, // not checked row by row
					Master: path, Data: data, Idle: 50 * time.Millisecond, Bound: 500 * time.Millisecond,
				}
				b.Run(fmt.Sprintf("%s/load=%v/%s", shape, l, c.Name), func(b *testing.B) { benchmarkTrial(b, spec) })
			}
		}
	}
}

func benchmarkTrial(b *testing.B, spec trialSpec) {
	var last Trial
	var total time.Duration
	var rows int64
	for b.Loop() {
		t, err := runTrial(b.Context(), spec, nil)
		if err != nil || t.Error != "" {
			b.Fatal(err, t.Error)
		}
		total, rows, last = total+t.Total, rows+t.Changed, t
	}
	b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "rewrite-ns")
	b.ReportMetric(float64(rows)/total.Seconds(), "rows/s")
	for _, m := range []Metric{LiveP99, LongHold, PeakWAL} {
		if v, ok := m.Of(last); ok {
			b.ReportMetric(v, metricUnit(m))
		}
	}
}

func metricUnit(m Metric) string {
	return map[string]string{LiveP99.Name: "live-p99-ms", LongHold.Name: "longest-hold-ms", PeakWAL.Name: "peak-wal-MB"}[m.Name]
}
