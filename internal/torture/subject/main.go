// Subject is the program that the harness kills, stops and starves: a service
// that owns one SQLite file, runs its jobs and writes live rows between their
// batches.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// No table of the harness takes so many batches, even at one row each.
const maxBatches = 5_000

type config struct {
	path, journal, shape, jobs string
	live                       int
	maxLive                    int
	pauseAt                    int
	hold                       time.Duration
	sole, start, verbose       bool
}

func main() {
	var c config
	flag.StringVar(&c.path, "db", "", "the database")
	flag.StringVar(&c.journal, "journal", "", "where the live rows that are committed are listed")
	flag.StringVar(&c.shape, "shape", "rowid", "the shape of table t")
	flag.StringVar(&c.jobs, "jobs", "inc_n,inc_m,purge", "what to run")
	flag.IntVar(&c.live, "live", 0, "the number of the first live row; 0 for no live rows")
	flag.IntVar(&c.maxLive, "max-live", 50, "how many live rows to insert at most")
	flag.IntVar(&c.pauseAt, "stand-at", 0, "say \"standing\" after this batch and go on when a line comes in")
	flag.DurationVar(&c.hold, "hold", 0, "target hold and quiet hold")
	flag.BoolVar(&c.sole, "sole", true, "engine.Config.SoleProcess")
	flag.BoolVar(&c.start, "start", false, "start in the background and wait for the ledger, as services do")
	flag.BoolVar(&c.verbose, "v", false, "log")
	flag.Parse()
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	db, err := torture.Open(c.path)
	if err != nil {
		return err
	}
	defer db.Close()
	host, err := newHost(db, c, giveUp)
	if err != nil {
		return err
	}
	cfg := engine.Config{SoleProcess: c.sole, TargetHold: c.hold, QuietHold: c.hold, OnHold: host.onHold}
	if c.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	eng, err := engine.New(db, cfg)
	if err != nil {
		return err
	}
	defer eng.Close()
	for _, name := range strings.Split(c.jobs, ",") {
		job, err := torture.JobByName(name)
		if err != nil {
			return err
		}
		if c.start {
			if err := eng.Start(ctx, job); err != nil {
				return err
			}
			continue
		}
		result, err := eng.Run(ctx, job)
		if err != nil {
			return fmt.Errorf("%s after %d rows (%s): %w", name, result.Rows, result.Phase, errors.Join(context.Cause(ctx), err))
		}
	}
	eng.Wait()
	return context.Cause(ctx)
}

// host is the application around the jobs.
type host struct {
	db      *sql.DB
	shape   torture.Shape
	c       config
	journal *os.File
	stdin   *bufio.Reader
	batches int
	giveUp  context.CancelCauseFunc
}

func newHost(db *sql.DB, c config, giveUp context.CancelCauseFunc) (*host, error) {
	shape, err := torture.ShapeByName(c.shape)
	if err != nil {
		return nil, err
	}
	h := &host{db: db, shape: shape, c: c, stdin: bufio.NewReader(os.Stdin), giveUp: giveUp}
	if c.live > 0 {
		h.journal, err = os.OpenFile(c.journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	}
	return h, err
}

// onHold is called between two holds, in the goroutine of the job.
func (h *host) onHold(hold engine.Hold) {
	if hold.Kind != engine.HoldBatch {
		return
	}
	h.batches++
	if h.batches == h.c.pauseAt {
		fmt.Println("standing")
		_, _ = h.stdin.ReadString('\n')
	}
	if h.batches > maxBatches {
		h.giveUp(fmt.Errorf("%d batches and no end", maxBatches))
	}
	if h.journal != nil && h.batches <= h.c.maxLive {
		if err := h.insert(h.c.live + h.batches); err != nil {
			h.giveUp(err)
		}
	}
}

// insert writes a live row, and what it was told.
func (h *host) insert(u int) error {
	if err := h.shape.Insert(h.db, u); err != nil {
		return fmt.Errorf("live row %d: %w", u, err)
	}
	_, err := fmt.Fprintln(h.journal, u)
	return err
}
