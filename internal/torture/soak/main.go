// Soak is a service that runs for long: it ingests at a steady rate and runs jobs
// that are paused, cancelled, interrupted, failed and retried, round after round.
// After each round it says what it holds.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

func main() {
	path := flag.String("db", "", "the database, which is created")
	long := flag.Duration("for", time.Minute, "how long")
	rate := flag.Int("ingest", 500, "live writes a second")
	flag.Parse()
	if err := run(*path, *long, *rate); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string, long time.Duration, rate int) error {
	ctx := context.Background()
	db, err := torture.Open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	s := &service{db: db, path: path, began: time.Now()}
	if err := s.create(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	defer s.close()
	s.ingest = torture.StartIngest(ctx, db, rate)
	defer s.ingest.Stop()
	report := json.NewEncoder(os.Stdout)
	for s.rounds < torture.LeastRounds || time.Since(s.began) < long {
		if err := s.inTime(ctx); err != nil {
			return fmt.Errorf("round %d: %w", s.rounds, err)
		}
		sample, err := s.sample()
		if err != nil {
			return err
		}
		if err := report.Encode(sample); err != nil {
			return err
		}
	}
	return nil
}

// inTime is a round, unless it stands still.
func (s *service) inTime(ctx context.Context) error {
	const limit = 2 * time.Minute // of what takes half a second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not through after %v", limit))
	defer cancel()
	return s.round(ctx)
}

func (s *service) create() error {
	for _, statement := range []string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0, w TEXT)",
		"CREATE TABLE hopeless (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 10))",
		"CREATE TABLE live (id INTEGER PRIMARY KEY, at TEXT)",
		fmt.Sprintf("INSERT INTO t (id) WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c", rows),
		"INSERT INTO hopeless SELECT id, 9 FROM t",
	} {
		if _, err := s.db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// value reads one number.
func value(db *sql.DB, query string) (n int64, err error) {
	err = db.QueryRow(query).Scan(&n)
	return n, err
}
