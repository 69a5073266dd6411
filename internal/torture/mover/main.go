// Mover is the program that the harness kills while it moves rows into an archive: a service that
// owns one SQLite file and writes to it meanwhile. What it has written and not deleted is, in the same
// transaction, in tables truth and truth_part as well. Table held keeps rows from being moved.
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
	if _, err := m.db.Exec("PRAGMA foreign_keys = 1"); err != nil {
		return err
	}
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
	_, err = e.Run(ctx, jobs.Archive{Name: "move", Table: "t", Where: fmt.Sprintf("id <= %d", m.upto), File: archive,
		Children: []jobs.ArchiveChild{{Table: "part"}}})
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

// write adds a row and a part, changes some near the place at which rows are being moved, and deletes one.
func (m *mover) write(rng *rand.Rand) error {
	conn, err := m.db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	near := func() string {
		return fmt.Sprintf("(SELECT min(id) + %d FROM t WHERE id NOT IN (SELECT t FROM held))", rng.IntN(400))
	}
	_, err = conn.ExecContext(context.Background(), fmt.Sprintf(`BEGIN IMMEDIATE;
		CREATE TEMP TABLE IF NOT EXISTS near (a, b, c);
		DELETE FROM temp.near;
		INSERT INTO temp.near VALUES (%s, %s, %s);

		INSERT INTO truth SELECT max(id) + 1, 'new' FROM truth;
		INSERT INTO t SELECT id, v FROM truth ORDER BY id DESC LIMIT 1;
		UPDATE t SET v = v || 'x' WHERE id BETWEEN (SELECT a FROM temp.near) AND (SELECT a + 2 FROM temp.near);
		INSERT OR REPLACE INTO truth SELECT id, v FROM t WHERE id BETWEEN (SELECT a FROM temp.near) AND (SELECT a + 2 FROM temp.near);

		UPDATE part SET v = v || 'x' WHERE t = (SELECT a FROM temp.near);
		UPDATE part SET t = (SELECT b FROM temp.near) WHERE t = (SELECT c FROM temp.near) AND EXISTS (SELECT 1 FROM t WHERE id = (SELECT b FROM temp.near));
		INSERT INTO part SELECT (SELECT max(id) + 1 FROM truth_part), id, 'new' FROM t WHERE id = (SELECT b FROM temp.near);
		INSERT OR REPLACE INTO truth_part SELECT * FROM part WHERE t IN (SELECT a FROM temp.near UNION SELECT b FROM temp.near);

		DELETE FROM temp.near WHERE c NOT IN (SELECT id FROM t) OR c IN (SELECT t FROM held);
		DELETE FROM truth WHERE id = (SELECT c FROM temp.near);
		DELETE FROM truth_part WHERE id IN (SELECT id FROM part WHERE t = (SELECT c FROM temp.near));
		DELETE FROM t WHERE id = (SELECT c FROM temp.near);
		COMMIT`, near(), near(), near()))
	return err
}
