// Mover is the program that the harness kills while it moves rows into an archive: a service that
// owns one SQLite file and writes to it meanwhile. What it has written and not deleted is, in the same
// transaction, in table truth as well.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
	"github.com/chunkfill/chunkfill/jobs"
)

func main() {
	path := flag.String("db", "", "the database")
	archive := flag.String("archive", "", "where rows go")
	upto := flag.Int64("upto", 0, "the last id to be moved")
	seed := flag.Uint64("seed", 1, "of the live writes")
	live := flag.Int("live", 1, "live transactions after each batch")
	ingest := flag.Int("ingest", 0, "live transactions a second besides, at their own pace")
	hold := flag.Duration("hold", 0, "target hold and quiet hold")
	flag.Parse()
	m := mover{upto: *upto, rng: rand.New(rand.NewPCG(*seed, 0))}
	if err := m.run(*path, *archive, *live, *ingest, *hold); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type mover struct {
	db   *sql.DB
	upto int64
	rng  *rand.Rand
}

func (m *mover) run(path, archive string, live, ingest int, hold time.Duration) (err error) {
	if m.db, err = torture.Open(path); err != nil {
		return err
	}
	defer m.db.Close()
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}

	e, err := engine.New(m.db, engine.Config{SoleProcess: true, TargetHold: hold, QuietHold: hold, OnHold: func(h engine.Hold) {
		if h.Kind != engine.HoldBatch {
			return
		}
		fmt.Println("batch")
		for range live {
			if err := m.write(m.rng); err != nil {
				fail(err)
			}
		}
	}})
	if err != nil {
		return err
	}
	defer e.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.ingest(ctx, ingest); err != nil {
			fail(err)
		}
	}()
	_, err = e.Run(ctx, jobs.Archive{Name: "move", Table: "t", Where: fmt.Sprintf("id <= %d", m.upto), File: archive})
	cancel()
	<-ended
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("a live write failed: %w", err)
	default:
		return nil
	}
}

// ingest writes at its own pace.
func (m *mover) ingest(ctx context.Context, rate int) error {
	if rate == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(m.rng.Uint64(), 1))
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := m.write(rng); err != nil {
				return err
			}
		}
	}
}

// write adds a row, changes some near the place at which rows are being moved, and deletes one.
func (m *mover) write(rng *rand.Rand) error {
	conn, err := m.db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(context.Background(), fmt.Sprintf(`BEGIN IMMEDIATE;
		INSERT INTO truth SELECT max(id) + 1, 'new' FROM truth;
		INSERT INTO t SELECT id, v FROM truth ORDER BY id DESC LIMIT 1;
		UPDATE t SET v = v || 'x' WHERE id BETWEEN (SELECT min(id) + %[1]d FROM t) AND (SELECT min(id) + %[1]d + 2 FROM t);
		INSERT OR REPLACE INTO truth SELECT id, v FROM t WHERE id BETWEEN (SELECT min(id) + %[1]d FROM t) AND (SELECT min(id) + %[1]d + 2 FROM t);
		DELETE FROM truth WHERE id IN (SELECT id FROM t WHERE id = (SELECT min(id) + %[2]d FROM t));
		DELETE FROM t WHERE id = (SELECT min(id) + %[2]d FROM t);
		COMMIT`, rng.IntN(400), rng.IntN(400)))
	return err
}
