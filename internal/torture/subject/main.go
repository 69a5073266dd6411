// Subject is the program that the harness kills, stops and starves: a service
// that owns one SQLite file, runs its jobs and writes live rows meanwhile.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
)

type config struct {
	path, journal, shape, jobs string
	synchronous                string
	live, maxLive, standAt     int
	ingest, maxPages           int
	minFree                    int64
	hold                       time.Duration
	sole, start, verbose, room bool
}

func main() {
	var c config
	flag.StringVar(&c.path, "db", "", "the database")
	flag.StringVar(&c.journal, "journal", "", "where the live rows that are committed are listed")
	flag.StringVar(&c.shape, "shape", "rowid", "the shape of table t")
	flag.StringVar(&c.jobs, "jobs", "inc_n,inc_m,purge", "what to run; with none it ingests until standard input ends")
	flag.IntVar(&c.live, "live", 0, "the number of the first row to insert into t after a batch; 0 for none")
	flag.IntVar(&c.maxLive, "max-live", 50, "how many of these to insert at most")
	flag.IntVar(&c.standAt, "stand-at", 0, "say \"standing\" after this batch and go on when a line comes in")
	flag.IntVar(&c.ingest, "ingest", 0, "live writes a second, at their own pace")
	flag.Int64Var(&c.minFree, "min-free", 0, "engine.Config.MinFree")
	flag.IntVar(&c.maxPages, "max-pages", 0, "how many pages the database may have more than now; 0 for no limit")
	flag.DurationVar(&c.hold, "hold", 0, "target hold and quiet hold")
	flag.BoolVar(&c.sole, "sole", true, "engine.Config.SoleProcess")
	flag.BoolVar(&c.start, "start", false, "start the jobs in the background and wait for the ledger, as services do")
	flag.StringVar(&c.synchronous, "synchronous", "NORMAL", "PRAGMA synchronous")
	flag.BoolVar(&c.verbose, "v", false, "log")
	flag.BoolVar(&c.room, "room", false, "wait for room on a full disk, as jobs do, rather than stop")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(c config) error {
	ctx, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	db, err := torture.Open(c.path)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA synchronous = " + c.synchronous); err != nil {
		return err
	}
	if c.maxPages > 0 {
		if err := limit(db, c.maxPages); err != nil {
			return err
		}
	}
	if c.ingest > 0 {
		in := torture.StartIngest(ctx, db, c.ingest)
		defer func() {
			in.Stop()
			fmt.Println(in.Take())
		}()
	}
	if c.jobs == "" {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	host, err := newHost(db, c, giveUp)
	if err != nil {
		return err
	}
	cfg := engine.Config{SoleProcess: c.sole, TargetHold: c.hold, QuietHold: c.hold, MinFree: c.minFree, OnHold: host.onHold}
	if c.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	} else if !c.room {
		cfg.Logger = slog.New(stopWhenFull{slog.DiscardHandler, giveUp})
	}
	eng, err := engine.New(db, cfg)
	if err != nil {
		return err
	}
	defer eng.Close()
	names := strings.Split(c.jobs, ",")
	if c.start {
		err = startAll(ctx, db, eng, names)
	} else {
		err = runAll(ctx, eng, names)
	}
	fmt.Println("batches:", host.batches)
	if err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return context.Cause(ctx)
}

// stopWhenFull is somebody who stops the program when a job says that it waits for room.
type stopWhenFull struct {
	slog.Handler
	giveUp context.CancelCauseFunc
}

func (s stopWhenFull) Enabled(context.Context, slog.Level) bool { return true }

func (s stopWhenFull) WithAttrs([]slog.Attr) slog.Handler { return s }

func (s stopWhenFull) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "the disk is full") {
		r.Attrs(func(a slog.Attr) bool {
			s.giveUp(fmt.Errorf("%s: %v", r.Message, a.Value))
			return true
		})
	}
	return nil
}

// limit lets the database grow by so many pages and no further. It holds for this
// connection alone, the only one that writes.
func limit(db *sql.DB, more int) error {
	var pages int
	if err := db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	_, err := db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+more))
	return err
}

func runAll(ctx context.Context, eng *engine.Engine, names []string) error {
	for _, name := range names {
		job, err := torture.JobByName(name)
		if err != nil {
			return err
		}
		result, err := eng.Run(ctx, job)
		if err != nil {
			return fmt.Errorf("%s after %d rows (%s): %w", name, result.Rows, result.Phase, err)
		}
	}
	return nil
}

// startAll starts all jobs and waits until the ledger says that each has ended,
// whoever ran it.
func startAll(ctx context.Context, db *sql.DB, eng *engine.Engine, names []string) error {
	for _, name := range names {
		job, err := torture.JobByName(name)
		if err != nil {
			return err
		}
		if err := eng.Start(ctx, job); err != nil {
			return err
		}
	}
	fmt.Println("started")
	store := asyncmig.NewStore(db, asyncmig.Config{})
	for _, name := range names {
		if err := await(ctx, store, name); err != nil {
			return err
		}
	}
	return nil
}

func await(ctx context.Context, store *asyncmig.Store, name string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		status, err := store.AsyncMigrationStatus(name)
		switch {
		case err != nil:
			return err
		case status == asyncmig.StatusFailed:
			return fmt.Errorf("%s: %s", name, status)
		case status == asyncmig.StatusDone:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
