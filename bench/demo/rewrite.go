package demo

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// rewrite runs the job while the live inserts continue.
func (d *demo) rewrite(ctx context.Context, db *sql.DB) error {
	monitor := sysmon.Start(sysmon.Config{Path: d.path})
	defer monitor.Stop()

	live := d.startLive(ctx, db)
	defer live.stop()

	if live.load != nil && !d.resumed {
		d.step("live inserts alone, %v/s for %v", d.cfg.Live, d.cfg.Idle)
		live.load.Phase("idle")
		if err := pause(ctx, d.cfg.Idle); err != nil {
			return err
		}
	}

	eng, err := engine.New(db, engine.Config{Logger: d.cfg.Logger, SoleProcess: true, OnHold: d.holds.add})
	if err != nil {
		return err
	}
	defer eng.Close()

	live.phase("during")
	stop := d.cfg.Watch(
		func() (engine.Status, bool) { return eng.Progress(Job) },
		func() string { return d.holds.brief() + live.brief() })

	began := time.Now()
	result, err := eng.Run(ctx, jobs.PathJSON(Job, "observations"))
	d.report.Total = time.Since(began)

	stop()
	live.phase("after")
	if err != nil {
		return err
	}

	live.stop()
	d.measured(result, live.phases, monitor.Stop())
	return nil
}

// measured puts into the report what the job and the live writes were seen to do.
func (d *demo) measured(result engine.Result, phases []load.Phase, seen sysmon.Report) {
	r := &d.report
	r.Data = d.summary
	r.Resumed = d.resumed
	r.Result = result
	r.WALPeak = seen.WAL
	r.RSSPeak = seen.RSS

	r.Hold = quantiles(d.holds.lengths())
	var scanned int
	for _, h := range d.holds.holds {
		scanned += h.Rows
	}
	r.Rate = float64(scanned) / r.Total.Seconds()

	for _, p := range phases {
		s := &Spread{P50: p.P50, P99: p.P99, Max: p.Max}
		switch p.Name {
		case "idle":
			r.Idle = s
		case "during":
			r.During = s
			r.MaxCause = maxCause(p, &d.holds)
		}
		r.Inserts += p.Inserts
		r.Errors += p.Errors
	}

	switch {
	case d.resumed:
		r.Budget = "no budget line: this run continued an earlier one"
	case d.cfg.Live == 0:
		r.Budget = "no budget line: it needs a run with live writes"
	default:
		r.Budget = budgetLine(d.cfg.Rows, r.Total)
	}
}

// liveLoad are the live inserts, if there are any.
type liveLoad struct {
	load   *load.Load
	cancel context.CancelFunc
	phases []load.Phase
}

func (d *demo) startLive(ctx context.Context, db *sql.DB) *liveLoad {
	if d.cfg.Live == 0 {
		return &liveLoad{}
	}

	ctx, cancel := context.WithCancel(ctx)
	l, err := load.Start(ctx, db, load.Config{Rate: d.cfg.Live, Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		d.step("no live inserts: %v", err)
		cancel()
		return &liveLoad{}
	}
	return &liveLoad{load: l, cancel: cancel}
}

func (l *liveLoad) phase(name string) {
	if l.load != nil {
		l.load.Phase(name)
	}
}

func (l *liveLoad) brief() string {
	if l.load == nil {
		return ""
	}
	for _, p := range l.load.Snapshot() {
		if p.Name == "during" {
			return fmt.Sprintf("  live p99 %v", round(p.P99))
		}
	}
	return ""
}

// stop ends the inserts and keeps what they measured. It may be called twice.
func (l *liveLoad) stop() {
	if l.load == nil || l.phases != nil {
		return
	}
	l.cancel()
	l.phases = l.load.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
