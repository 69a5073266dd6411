package load

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

// source makes the rows of a load: observations of recent transmissions whose path is
// already known, as a service writes them once its new code is deployed.
type source struct {
	db        *sql.DB
	statement *sql.Stmt
	rng       *rand.Rand
	newest    int64 // transmission
	observer  int64 // of this load alone, so that no two loads make the same row
	n         uint32
	hops      [12]byte
	payload   [56]byte
}

const insertStatement = `INSERT INTO observations
	(transmission_id, observer_idx, direction, snr, rssi, score, path_json, timestamp, raw_hex)
	VALUES (?, ?, 'rx', ?, ?, ?, ?, ?, ?)`

// recent transmissions are those whose observations still come in.
const recent = 1000

func newSource(ctx context.Context, db *sql.DB, seed uint64) (*source, error) {
	s := &source{db: db, rng: rand.New(rand.NewPCG(seed, 0))}
	err := db.QueryRowContext(ctx, `SELECT COALESCE(max(id), 0) FROM transmissions`).Scan(&s.newest)
	if err != nil {
		return nil, fmt.Errorf("find the newest transmission: %w", err)
	}
	if s.newest == 0 {
		return nil, fmt.Errorf("find the newest transmission: there is none")
	}
	if s.statement, err = db.PrepareContext(ctx, insertStatement); err != nil {
		return nil, fmt.Errorf("prepare the insert: %w", err)
	}
	s.observer = 1<<20 + (time.Now().UnixNano()^int64(os.Getpid())<<20)&(1<<50-1)
	return s, nil
}

func (s *source) close() { s.statement.Close() }

// next returns a row. Its path begins with a number that counts up, so it never equals
// another one of this load.
func (s *source) next() []any {
	s.n++
	p := dataset.Packet{Route: 1, Type: 4, HopBytes: 3, Payload: s.payload[:]}
	for i := range s.payload {
		s.payload[i] = byte(s.rng.Uint32())
	}
	for i := range s.hops {
		s.hops[i] = byte(s.rng.Uint32())
	}
	s.hops[0], s.hops[1], s.hops[2] = byte(s.n>>16), byte(s.n>>8), byte(s.n)
	p.Hops = s.hops[:3*(1+s.rng.IntN(4))]
	transmission := s.newest - s.rng.Int64N(min(recent, s.newest))
	return []any{transmission, s.observer, float64(s.rng.IntN(120)-60) / 4, float64(-40 - s.rng.IntN(90)),
		int64(s.rng.IntN(101)), p.PathJSON(), time.Now().Unix(), p.Hex()}
}

// insert always runs to its end, even if the load stops: a cancelled statement would make
// database/sql discard the only connection.
func (s *source) insert(row []any) error {
	_, err := s.statement.Exec(row...)
	return err
}
