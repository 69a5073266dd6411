package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/lite/wal"
)

var (
	pid         = os.Getpid()
	hostname, _ = os.Hostname()
)

// recorder keeps the record of a job in its database, and shows it.
type recorder struct {
	e         *Engine
	name      string
	key       *lite.Key // that the table is walked by
	writer    *lite.Writer
	callbacks *callbacks
	wal       *wal.Checkpointer

	runID   string
	sampled time.Time
	last    lite.Timing // of the latest batch

	shown atomic.Pointer[Status]
}

// record makes a hold for the records of the job.
func (r *recorder) record(ctx context.Context, write func(context.Context, lite.Querier) error) error {
	timing, err := r.writer.Hold(ctx, write)
	r.report(HoldRecord, 0, 0, timing)
	return err
}

// Save writes a change of state and its event.
func (r *recorder) Save(ctx context.Context, cp checkpoint.Checkpoint, e checkpoint.Event) (request checkpoint.Request, err error) {
	err = r.record(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		e.At = time.Now()
		if request, err = checkpoint.SaveTx(ctx, c, cp, e.At); err != nil {
			return err
		}
		return checkpoint.AddEvent(ctx, c, r.name, e)
	})
	return request, err
}

// Asked reads what is asked of the job, where no batch tells.
func (r *recorder) Asked(ctx context.Context) (checkpoint.Request, error) {
	cp, err := checkpoint.Load(ctx, r.e.readQuerier(), r.name)
	switch {
	case errors.Is(err, checkpoint.ErrUnknown), err == nil && cp.RunID != r.runID:
		return checkpoint.Request{}, fmt.Errorf("%w: %s", ErrLostOwner, r.name)
	case err != nil:
		return checkpoint.Request{}, err
	}
	return cp.Request, nil
}

// Publish shows the run as it stands.
func (r *recorder) Publish(cp checkpoint.Checkpoint, request checkpoint.Request) {
	status := derive(cp, r.key)
	status.Ledger, status.Request = asyncmig.StatusPendingAsync, request
	r.shown.Store(&status)
}

// sample adds to the ring of samples, about once a second, with a batch.
func (r *recorder) sample(ctx context.Context, q checkpoint.Querier, cp checkpoint.Checkpoint) error {
	now := time.Now()
	if now.Sub(r.sampled) < time.Second {
		return nil
	}
	r.sampled = now
	return checkpoint.AddSample(ctx, q, cp.Name, checkpoint.Sample{At: now, Rows: cp.Rows, BatchRows: cp.BatchRows,
		Hold: r.last.Held, Wait: r.last.Wait, WALBytes: lite.WALBytes(r.e.file.Path)})
}

func (r *recorder) report(kind HoldKind, rows, changed int, t lite.Timing) {
	if kind == HoldBatch {
		r.last = t
		r.wal.Committed(t.WAL)
	}
	if r.e.cfg.OnHold != nil {
		hold := Hold{At: time.Now(), Kind: kind, Rows: rows, Changed: changed, Waited: t.Wait, Held: t.Held}
		r.callbacks.do("OnHold", func() { r.e.cfg.OnHold(hold) })
	}
}
