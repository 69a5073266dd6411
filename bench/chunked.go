package bench

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// tuning is what a contender sets on the engine beyond what every host should.
type tuning struct {
	walBudget int64
	gauge     bool // the host counts its live writes
}

// chunkfill runs a job as a service would embed it: as the only process on the file, unless
// the load comes from another process.
func chunkfill(job func() jobs.Job, t tuning) func(context.Context, *rig) error {
	return func(ctx context.Context, r *rig) error {
		cfg := engine.Config{
			SoleProcess: !r.spec.Load.Process,
			WALBudget:   t.walBudget,
			OnHold:      r.onHold,
		}
		if t.gauge && r.live != nil {
			cfg.LiveWriters = r.live.Waiting
		}
		eng, err := engine.New(r.db, cfg)
		if err != nil {
			return err
		}
		defer eng.Close()
		result, err := eng.Run(ctx, job())
		r.changed = result.Changed
		return err
	}
}

func (r *rig) onHold(h engine.Hold) {
	r.holds.add(h.At.Add(-h.Held), h.At)
	if h.Kind == engine.HoldBatch && r.spec.Handicap > 0 {
		time.Sleep(r.spec.Handicap)
	}
}

// pathUpdate is the same work as one UPDATE, which does not count what is left.
func pathUpdate() jobs.Job {
	job := pathJob
	job.Todo = ""
	return job
}

// pathVerified counts what is left at the end, as a service would want.
func pathVerified() jobs.Job { return pathJob }

func pathTransform() jobs.Job { return transform(jobs.DecodePath) }

func transform(decode func(string) (string, bool)) jobs.Job {
	return jobs.Transform{
		Name: "bench", Table: "observations",
		Read: []string{"raw_hex"}, Write: []string{"path_json"},
		Where: pathJob.Where,
		Row: func(read []any) ([]any, error) {
			raw, ok := read[0].(string)
			if !ok {
				return nil, jobs.ErrSkip
			}
			path, trace := decode(raw)
			if trace {
				return nil, jobs.ErrSkip
			}
			return []any{path}, nil
		},
	}
}

// slowPath is the SQL name of a decoder that takes 5 µs longer.
const slowPath = "chunkfill_bench_slow_path"

func slowUpdate() jobs.Job {
	job := pathJob
	job.Todo = ""
	job.Set = []jobs.Assign{{Column: "path_json", Expr: slowPath + "(raw_hex)"}}
	return job
}

func slowTransform() jobs.Job { return transform(slowDecode) }

func init() {
	sqlite.MustRegisterDeterministicScalarFunction(slowPath, 1,
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			raw, _ := args[0].(string)
			path, _ := slowDecode(raw)
			return path, nil
		})
}

func slowDecode(raw string) (path string, trace bool) {
	sum := sha256.Sum256([]byte(raw))
	for range slowTurns() {
		sum = sha256.Sum256(sum[:])
	}
	if sum == [sha256.Size]byte{} {
		return "", false // so that the work is not optimized away
	}
	return jobs.DecodePath(raw)
}

// slowTurns is how many hashes take 5 µs on this machine, measured once: work that occupies
// a processor, rather than a wait.
var slowTurns = sync.OnceValue(func() int {
	const turns, tries, want = 1000, 20, 5 * time.Microsecond
	best := time.Hour
	var sum [sha256.Size]byte
	for range tries {
		began := time.Now()
		for range turns {
			sum = sha256.Sum256(sum[:])
		}
		best = min(best, time.Since(began))
	}
	return max(1, int(want*turns/max(1, best)))
})
