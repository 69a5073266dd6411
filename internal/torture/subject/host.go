package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// patience is how often a run may pass each row: for every job, in both passes, and
// in the searches for bad rows. One that passes them more often goes round in circles.
const patience = 100

// host is the application around the jobs.
type host struct {
	db      *sql.DB
	shape   torture.Shape
	c       config
	journal *os.File
	stdin   *bufio.Reader
	giveUp  context.CancelCauseFunc

	mu            sync.Mutex // jobs that were started run side by side
	batches, rows int
	limit         int // of rows
}

func newHost(db *sql.DB, c config, giveUp context.CancelCauseFunc) (*host, error) {
	shape, err := torture.ShapeByName(c.shape)
	if err != nil {
		return nil, err
	}
	h := &host{db: db, shape: shape, c: c, stdin: bufio.NewReader(os.Stdin), giveUp: giveUp}
	if err := db.QueryRow("SELECT count(*) FROM t").Scan(&h.limit); err != nil {
		return nil, err
	}
	h.limit = patience * (h.limit + c.maxLive)
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
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches++
	h.rows += max(1, hold.Rows) // those of a batch that failed count, too
	if h.batches == h.c.standAt {
		fmt.Println("standing")
		_, _ = h.stdin.ReadString('\n')
	}
	if h.rows > h.limit {
		h.giveUp(fmt.Errorf("%d rows in %d batches and no end", h.rows, h.batches))
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
