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

// No table of the harness takes so many batches, even at one row each.
const maxBatches = 5_000

// host is the application around the jobs.
type host struct {
	db      *sql.DB
	shape   torture.Shape
	c       config
	journal *os.File
	stdin   *bufio.Reader
	giveUp  context.CancelCauseFunc

	mu      sync.Mutex // jobs that were started run side by side
	batches int
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
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches++
	if h.batches == h.c.standAt {
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
