package record_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/record"
)

// TestPaceIsKept: ten minutes a second, and for good one point for each part of the walk: the
// first. What is damaged is left out. Planted and caught: a mark that is replaced; a ring of
// one slot more; a restart that keeps what was before.
func TestPaceIsKept(t *testing.T) {
	db := withTables(t)
	point := func(s int) record.PacePoint {
		return record.PacePoint{Step: "walk", Pass: 1, At: noon.Add(time.Duration(s) * time.Second),
			Worked: time.Duration(s) * time.Second, Rows: int64(10 * s), Total: 25_600, Done: float64(s) / 2560}
	}
	must(t, record.BeginPaceTx(testContext(t), db, "j", point(0)))
	must(t, record.BeginPaceTx(testContext(t), db, "other", point(0)))
	for s := 1; s <= 2560; s++ {
		_, err := record.AddPaceTx(testContext(t), db, "j", point(s))
		must(t, err)
	}

	kept := map[int]record.PacePoint{}
	all, err := record.Pace(testContext(t), db, "j")
	must(t, err)
	for _, p := range all {
		kept[p.Slot] = p
	}
	wantEqual(t, len(kept), 1+600+256)
	wantEqual(t, kept[record.PaceBegan].Rows, int64(0))
	for s := 2560 - 599; s <= 2560; s++ {
		want := point(s)
		want.Slot = int(want.At.Unix() % 600)
		wantEqual(t, kept[want.Slot], want)
	}
	for part := 1; part < 256; part++ {
		wantEqual(t, kept[600+part].Rows, int64(100*part))
		wantEqual(t, kept[600+part].ForGood(), true)
	}

	exec(t, db, fmt.Sprintf("UPDATE _async_migration_pace SET rows_scanned = 'many' WHERE slot = %d", record.PaceBegan))
	all, err = record.Pace(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, len(all), 600+256)

	must(t, record.RestartPaceTx(testContext(t), db, "j", point(2560)))
	wantEqual(t, column(t, db, "SELECT slot FROM _async_migration_pace WHERE name = 'j' ORDER BY slot"), []string{"-2", "-1"})
	must(t, record.BeginPaceTx(testContext(t), db, "j", point(0)))
	wantEqual(t, column(t, db, "SELECT name || slot FROM _async_migration_pace ORDER BY 1"), []string{"j-1", "other-1"})

	must(t, downgrade(t, db)) // a table of before has none
	all, err = record.Pace(testContext(t), db, "j")
	must(t, err)
	wantEqual(t, len(all), 0)
	must(t, record.RestartPaceTx(testContext(t), db, "j", point(1)))
}
