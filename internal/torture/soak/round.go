package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
	"github.com/chunkfill/chunkfill/jobs"
)

const (
	rows = 2000
	// A purge leaves that many live rows, so that the database stays as it is.
	keep = 2000
	// hopeless is a job that fails at its first row, each time it is started, and is
	// never forgotten: its audit trail must reach its limit and stay there.
	attempts = 10
)

// service is the application and the engine in it.
type service struct {
	db     *sql.DB
	path   string
	eng    *engine.Engine
	ingest *torture.Ingester
	began  time.Time

	rounds, jobs int
	logged       atomic.Int64
	jobsBefore   int // this round
	done         int64
	atBatch      func() // called once, after the next batch, in the job's goroutine
}

func (s *service) Write(line []byte) (int, error) {
	s.logged.Add(int64(len(line)))
	return len(line), nil
}

func (s *service) open() (err error) {
	s.eng, err = engine.New(s.db, engine.Config{
		SoleProcess: true, MaxRate: 20_000, MinFree: -1, QuarantineLimit: 5, TargetHold: time.Millisecond, QuietHold: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnHold: func(h engine.Hold) {
			if h.Kind == engine.HoldBatch && h.Rows > 0 && s.atBatch != nil {
				then := s.atBatch
				s.atBatch = nil
				then()
			}
		},
	})
	return err
}

func (s *service) close() error { return s.eng.Close() }

// round has each thing happen that happens to jobs. Afterwards every row of t has
// been rewritten once by each of the jobs that came to their end.
func (s *service) round(ctx context.Context) error {
	s.rounds++
	s.jobsBefore = s.jobs
	s.logged.Store(0)
	for _, part := range []func(context.Context) error{s.plain, s.paused, s.cancelled, s.interrupted, s.mended, s.hopeless, s.purge} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return s.check()
}

// check wants each row to have been done as often as jobs have ended.
func (s *service) check() error {
	wrong, err := value(s.db, fmt.Sprintf("SELECT count(*) FROM t WHERE n <> %d", s.done))
	if err != nil || wrong > 0 {
		return fmt.Errorf("%d rows were not done %d times: %w", wrong, s.done, err)
	}
	return nil
}

func increment(name string) jobs.Job {
	return jobs.Update{Name: name, Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}
}

// ends runs a job to its end and forgets it.
func (s *service) ends(ctx context.Context, run func(context.Context, jobs.Job) (engine.Result, error), job jobs.Job) error {
	result, err := run(ctx, job)
	name := job.Spec().Name
	if err != nil || result.Phase != checkpoint.Done || result.Quarantined > 0 {
		return fmt.Errorf("%s: %s, %d set aside: %w", name, result.Phase, result.Quarantined, err)
	}
	s.jobs++
	if job.Spec().Table == "t" {
		s.done++
	}
	return s.eng.Forget(ctx, name)
}

func (s *service) plain(ctx context.Context) error { return s.ends(ctx, s.eng.Run, increment("plain")) }

func (s *service) paused(ctx context.Context) error {
	job := increment("paused")
	asked := make(chan error, 1)
	s.atBatch = func() { asked <- s.eng.Pause(ctx, "paused", "soak") }
	if err := s.eng.Start(ctx, job); err != nil {
		return err
	}
	if err := await(ctx, asked); err != nil {
		return err
	}
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		status, running := s.eng.Progress("paused")
		if !running {
			return errors.New("a job that was to be paused came to its end")
		}
		if status.Phase == checkpoint.Paused {
			break
		}
	}
	if err := s.eng.Resume(ctx, "paused", "soak"); err != nil {
		return err
	}
	s.eng.Wait()
	return s.ends(ctx, s.eng.Run, job) // which is done, and says so
}

func (s *service) cancelled(ctx context.Context) error {
	job := increment("cancelled")
	asked := make(chan error, 1)
	s.atBatch = func() { asked <- s.eng.Cancel(ctx, "cancelled", "soak") }
	_, err := s.eng.Run(ctx, job)
	if refused := await(ctx, asked); refused != nil || !errors.Is(err, engine.ErrCancelled) {
		return fmt.Errorf("want it cancelled: %w", errors.Join(err, refused))
	}
	return s.ends(ctx, s.eng.Retry, job)
}

// await waits for what a job does at its next batch.
func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// interrupted closes the engine in the middle of a job, as a deploy does.
func (s *service) interrupted(ctx context.Context) error {
	job := increment("interrupted")
	halfway := make(chan error, 1)
	s.atBatch = func() { halfway <- nil }
	if err := s.eng.Start(ctx, job); err != nil {
		return err
	}
	if err := await(ctx, halfway); err != nil {
		return err
	}
	if err := s.eng.Close(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.ends(ctx, s.eng.Run, job)
}

// mended has rows that fail, are set aside, and are done by a retry.
func (s *service) mended(ctx context.Context) error {
	var mended atomic.Bool
	job := jobs.Transform{Name: "mended", Table: "t", Read: []string{"id", "n"}, Write: []string{"n", "w"}, Row: func(read []any) ([]any, error) {
		if id := read[0].(int64); id%(rows/4) == 1 && !mended.Load() {
			return nil, errors.New("cannot be decoded yet")
		}
		return []any{read[1].(int64) + 1, "decoded"}, nil
	}}
	result, err := s.eng.Run(ctx, job)
	if err != nil || result.Quarantined != 4 {
		return fmt.Errorf("want 4 rows set aside, not %d: %w", result.Quarantined, err)
	}
	mended.Store(true)
	return s.ends(ctx, s.eng.Retry, job)
}

func (s *service) hopeless(ctx context.Context) error {
	job := jobs.Update{Name: "hopeless", Table: "hopeless", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}
	for range attempts {
		if _, err := s.eng.Run(ctx, job); !errors.Is(err, engine.ErrTooManyBadRows) {
			return fmt.Errorf("want too many bad rows: %w", err)
		}
		s.jobs++
	}
	return nil
}

func (s *service) purge(ctx context.Context) error {
	last, err := value(s.db, "SELECT coalesce(max(id), 0) FROM live")
	if err != nil {
		return err
	}
	return s.ends(ctx, s.eng.Run, jobs.Delete{Name: "purge", Table: "live", Where: fmt.Sprintf("id <= %d", last-keep)})
}
