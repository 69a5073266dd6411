package dataset

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/bench/internal/dsn"
)

const smallRows = 3_000

// small generates a small table and opens it.
func small(t *testing.T, cfg Config) (*sql.DB, Summary) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo?.db")
	summary, err := Generate(t.Context(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	db, err := dsn.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, summary
}

func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// content is a hash over every value of both tables.
func content(t *testing.T, db *sql.DB) string {
	t.Helper()
	sum := sha256.New()
	for _, query := range []string{
		`SELECT concat_ws('|', id, hash, raw_hex, route_type, payload_type, first_seen) FROM transmissions ORDER BY id`,
		`SELECT concat_ws('|', id, transmission_id, observer_idx, direction, snr, rssi, score, quote(path_json),
			timestamp, quote(raw_hex)) FROM observations ORDER BY id`,
	} {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(sum, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Planted: a draw from the global random source in row.
func TestSameSeedSameContent(t *testing.T) {
	for _, shape := range []Shape{Clustered, Scattered} {
		one, _ := small(t, Config{Rows: smallRows, Seed: 7, Shape: shape})
		two, _ := small(t, Config{Rows: smallRows, Seed: 7, Shape: shape})
		other, _ := small(t, Config{Rows: smallRows, Seed: 8, Shape: shape})
		if content(t, one) != content(t, two) {
			t.Errorf("%s: the same seed gave other content", shape)
		}
		if content(t, one) == content(t, other) {
			t.Errorf("%s: another seed gave the same content", shape)
		}
	}
}

// Planted: Colliding rows not counted as work; TRACE rows drawn as filled.
func TestSummaryIsWhatTheTableHolds(t *testing.T) {
	for _, shape := range []Shape{Clustered, Scattered} {
		t.Run(string(shape), func(t *testing.T) {
			db, summary := small(t, Config{Rows: smallRows, Shape: shape})
			t.Log(summary)
			const unfilled = `COALESCE(raw_hex, '') <> '' AND COALESCE(path_json, '') = ''`
			for _, c := range []struct {
				what, query string
				want        int
			}{
				{"rows", `SELECT count(*) FROM observations`, summary.Rows},
				{"transmissions", `SELECT count(*) FROM transmissions`, summary.Transmissions},
				{"work and TRACE", `SELECT count(*) FROM observations WHERE ` + unfilled, summary.Work + summary.Trace},
				{"filled", `SELECT count(*) FROM observations WHERE COALESCE(path_json, '') <> ''`, summary.Filled},
				{"without packet", `SELECT count(*) FROM observations WHERE COALESCE(raw_hex, '') = ''`, summary.NoPacket},
				{"foreign keys broken", `SELECT count(*) FROM pragma_foreign_key_check`, 0},
				{"pairs unfilled twice", `SELECT count(*) FROM (SELECT 1 FROM observations WHERE COALESCE(path_json, '') = ''
					GROUP BY transmission_id, observer_idx HAVING count(*) > 1)`, 0},
				{"pairs that will collide", `SELECT count(*) FROM (SELECT 1 FROM observations
					GROUP BY transmission_id, observer_idx HAVING count(*) > 1)`, summary.Colliding},
			} {
				if got := count(t, db, c.query); got != c.want {
					t.Errorf("%s: %d, want %d", c.what, got, c.want)
				}
			}
			for what, n := range map[string]int{"TRACE": summary.Trace, "malformed": summary.Malformed,
				"without packet": summary.NoPacket, "filled": summary.Filled} {
				if n == 0 {
					t.Errorf("no %s rows", what)
				}
			}
			if summary.Colliding != leastCollisions {
				t.Errorf("%d collisions, want %d", summary.Colliding, leastCollisions)
			}
		})
	}
}

func TestDatabaseIsInWALMode(t *testing.T) {
	db, _ := small(t, Config{Rows: 100})
	var mode, check string
	if err := db.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal_mode %q, %v", mode, err)
	}
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity_check %q, %v", check, err)
	}
}

// The rewrite that the model expects is applied row by row: every row must come
// out as wanted, and exactly the colliding ones must be refused by the index.
// Planted: the twin hears a path of its own.
func TestModelMatchesTheUniqueIndex(t *testing.T) {
	for _, shape := range []Shape{Clustered, Scattered} {
		t.Run(string(shape), func(t *testing.T) {
			cfg := Config{Rows: smallRows, Seed: 3, Shape: shape}
			db, summary := small(t, cfg)
			refused := fillFromModel(t, db, cfg)
			if refused != summary.Colliding {
				t.Errorf("%d rows refused, want %d", refused, summary.Colliding)
			}
			verdict, err := Check(t.Context(), db, cfg)
			if err != nil || !verdict.Complete() || verdict.Right != cfg.Rows {
				t.Errorf("verdict %+v, %v", verdict, err)
			}
		})
	}
}

// Without collisions one UPDATE can do the whole work. A Summary's own Config must
// describe the same table.
// Planted: -1 completed to 0, which the next reader took for the default.
func TestNegativeCollisionsAreNone(t *testing.T) {
	db, summary := small(t, Config{Rows: smallRows, Collisions: -1})
	if refused := fillFromModel(t, db, summary.Config); refused != 0 || summary.Colliding != 0 {
		t.Errorf("%d rows refused, %d said to collide; want none", refused, summary.Colliding)
	}
	if verdict, err := Check(t.Context(), db, summary.Config); err != nil || !verdict.Complete() {
		t.Errorf("verdict %+v, %v", verdict, err)
	}
}

// fillFromModel also checks that a colliding row hears the very packet of its
// twin, which is what makes the two paths the same.
func fillFromModel(t *testing.T, db *sql.DB, cfg Config) (refused int) {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	filled := make(map[int]Row)
	for row := range Model(cfg) {
		if row.Kind == Filled {
			filled[pair(row)] = row
		}
	}
	for row := range Model(cfg) {
		want := row.Want
		if row.Kind == Colliding {
			twin := filled[pair(row)]
			if want = twin.PathJSON; row.RawHex != twin.RawHex {
				t.Errorf("observation %d hears %q, its twin %d %q", row.ID, row.RawHex.String, twin.ID, twin.RawHex.String)
			}
		}
		if row.Kind != Colliding && row.Kind != Unfilled {
			continue
		}
		if _, err := tx.Exec(`UPDATE observations SET path_json = ? WHERE id = ?`, want, row.ID); err != nil {
			refused++
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return refused
}

func pair(r Row) int { return int(r.Transmission)<<16 | r.Observer }

// Planted: a verdict that ignores rows past the last match.
func TestCheckTellsPendingWrongAndMissing(t *testing.T) {
	cfg := Config{Rows: 1_000}
	db, summary := small(t, cfg)
	verdict, err := Check(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := Verdict{Pending: summary.Work - summary.Colliding}
	want.Right = cfg.Rows - want.Pending
	if verdict != want {
		t.Errorf("fresh table: %+v, want %+v", verdict, want)
	}
	for _, statement := range []string{
		`UPDATE observations SET path_json = '["NO"]' WHERE id = 10`,
		`DELETE FROM observations WHERE id IN (20, 1000)`,
		`UPDATE observations SET raw_hex = 'FF' WHERE id = 30`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	verdict, err = Check(t.Context(), db, cfg)
	if err != nil || verdict.Wrong != 4 || !strings.HasPrefix(verdict.First, "observation 10 has") {
		t.Errorf("spoiled table: %+v, %v; want 4 wrong, the first of them 10", verdict, err)
	}
}

// In the scattered shape neighbours must not share a transmission, in the
// clustered one they must.
// Planted: Scattered ignored by slot.
func TestShapes(t *testing.T) {
	for shape, want := range map[Shape]func(int) bool{
		Clustered: func(n int) bool { return n > smallRows*9/10 },
		Scattered: func(n int) bool { return n < smallRows/50 },
	} {
		near, last := 0, int64(-1)
		for row := range Model(Config{Rows: smallRows, Shape: shape}) {
			if row.Transmission == last {
				near++
			}
			last = row.Transmission
		}
		if !want(near) {
			t.Errorf("%s: %d of %d rows follow one of the same transmission", shape, near, smallRows)
		}
	}
}

func TestPacketsArePlausible(t *testing.T) {
	routes, hops := map[byte]int{}, map[int]int{}
	for row := range Model(Config{Rows: smallRows}) {
		if !row.RawHex.Valid || row.RawHex.String == "" || row.Malformed {
			continue
		}
		wire, err := hex.DecodeString(row.RawHex.String)
		if err != nil || len(wire) < 24 || len(wire) > 120 || strings.ToUpper(row.RawHex.String) != row.RawHex.String {
			t.Fatalf("observation %d: packet %q", row.ID, row.RawHex.String)
		}
		routes[wire[0]&3]++
		if row.Kind == Unfilled {
			var path []string
			if err := json.Unmarshal([]byte(row.Want.String), &path); err != nil {
				t.Fatalf("observation %d: path %q: %v", row.ID, row.Want.String, err)
			}
			hops[len(path)]++
		}
	}
	if len(routes) != 4 {
		t.Errorf("route types %v, want all four", routes)
	}
	for n := range 9 {
		if hops[n] == 0 {
			t.Errorf("no path of %d hops", n)
		}
	}
}

func TestPacketOnTheWire(t *testing.T) {
	for _, c := range []struct {
		packet    Packet
		hex, path string
	}{
		{Packet{Route: 1, Type: 2, HopBytes: 1}, "0900", "[]"},
		{Packet{Route: 2, Type: 4, Version: 1, HopBytes: 2, Hops: []byte{0x7d, 0x1d, 0xda, 0x2a}, Payload: []byte{1, 2}},
			"52427D1DDA2A0102", `["7D1D","DA2A"]`},
		{Packet{Route: 0, Transport: [4]byte{1, 2, 3, 4}, HopBytes: 3, Hops: []byte{0xa, 0xb, 0xc}},
			"000102030481" + "0A0B0C", `["0A0B0C"]`},
		{Packet{Route: 3, Type: 9, HopBytes: 4, Hops: []byte{1, 2, 3, 4}}, "2700000000C101020304", `["01020304"]`},
	} {
		if got := c.packet.Hex(); got != c.hex {
			t.Errorf("%+v: hex %s, want %s", c.packet, got, c.hex)
		}
		if got := c.packet.PathJSON(); got != c.path {
			t.Errorf("%+v: path %s, want %s", c.packet, got, c.path)
		}
	}
}

// Planted: half the network's rounds swapped without the mask.
func TestShuffleIsAPermutation(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 64, 1000, 65_537} {
		seen := make([]bool, n)
		s := newShuffle(n, 42)
		for i := range n {
			at := s.at(i)
			if seen[at] {
				t.Fatalf("n %d: %d is hit twice", n, at)
			}
			seen[at] = true
		}
	}
}

func TestGenerateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.db")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(t.Context(), path, Config{Rows: 100}); !errors.Is(err, ErrExists) {
		t.Errorf("error %v, want ErrExists", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("the file now holds %q", got)
	}
}

// Planted: Generate without the removal.
func TestCancelledGenerateLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := Config{Rows: smallRows, Progress: func(done, _ int) {
		if done > smallRows/2 {
			cancel()
		}
	}}
	if _, err := Generate(ctx, filepath.Join(dir, "demo.db"), cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	last, whole := -1, 0
	small(t, Config{Rows: smallRows, Progress: func(done, total int) {
		if done < last || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last, whole = done, total
	}})
	if last != whole {
		t.Errorf("ended at %d of %d", last, whole)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	for field, cfg := range map[string]Config{
		"Rows":          {Rows: -1},
		"Transmissions": {Rows: 10, Transmissions: 11},
		"Collisions":    {Rows: 100, Transmissions: 5, Collisions: 6},
		"Shape":         {Shape: "round"},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
	for _, cfg := range []Config{{}, {Rows: 1}, {Rows: 10}, {Rows: 100, Transmissions: 100}, {Rows: 300, Transmissions: 1}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
		cfg.Rows = min(max(cfg.Rows, 1), 1000)
		seen := map[int]int{}
		for row := range Model(cfg) {
			seen[pair(row)]++
		}
		if len(seen)+max(0, cfg.withDefaults().Collisions) != cfg.Rows {
			t.Errorf("%+v: %d pairs", cfg, len(seen))
		}
	}
}
