package budget

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// The names of the job on the copy. A sample is a different job from the whole.
const (
	wholeName  = "chunkfill rehearsal"
	sampleName = "chunkfill rehearsal, sample"
)

// rehearsed returns the job under another name, possibly on a part of the table.
type rehearsed struct{ spec jobs.Spec }

func (r rehearsed) Spec() jobs.Spec { return r.spec }

func whole(job jobs.Job) rehearsed {
	spec := job.Spec()
	spec.Name = wholeName
	return rehearsed{spec}
}

// on returns the job on ranges of an integer key only. Rows outside them stay undone, so it
// has no Todo.
func (r rehearsed) on(key string, parts []stretch) rehearsed {
	terms := make([]string, len(parts))
	for i, p := range parts {
		// The + keeps SQLite from searching by these instead of by the batch.
		terms[i] = fmt.Sprintf("+%s BETWEEN %d AND %d", quote(key), p.from, p.to)
	}
	where := "(" + strings.Join(terms, " OR ") + ")"
	if r.spec.Where != "" {
		where += " AND (" + r.spec.Where + "\n)"
	}
	r.spec.Name, r.spec.Where, r.spec.Todo = sampleName, where, ""
	return r
}

// stretch is a range of keys, ends included.
type stretch struct{ from, to int64 }

// sampleStretches is the number of ranges in a sample: enough to see that they differ, few
// enough for each to be many batches long.
const sampleStretches = 10

// stretchesOf spreads about want rows evenly over the table, whatever gaps its keys have.
func stretchesOf(ctx context.Context, db *sql.DB, d engine.DryRunResult, want int64) ([]stretch, error) {
	rows := min(d.Rows, want)
	length := max(1, rows/sampleStretches)
	var parts []stretch
	for i := range int64(sampleStretches) {
		first := i * (d.Rows - length) / (sampleStretches - 1)
		from, err := keyAt(ctx, db, d, first)
		if err != nil {
			return nil, err
		}
		to, err := keyAt(ctx, db, d, first+length-1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, stretch{from, to})
	}
	return parts, nil
}

func keyAt(ctx context.Context, db *sql.DB, d engine.DryRunResult, offset int64) (key int64, err error) {
	query := fmt.Sprintf("SELECT %[1]s FROM %[2]s ORDER BY %[1]s LIMIT 1 OFFSET %[3]d", quote(d.Key), quote(d.Table), offset)
	if err := db.QueryRowContext(ctx, query).Scan(&key); err != nil {
		return 0, fmt.Errorf("choose a sample: %w", err)
	}
	return key, nil
}

// integerKey reports whether the table is walked by one integer column, so that ranges of
// it can be selected.
func integerKey(ctx context.Context, db *sql.DB, d engine.DryRunResult) (bool, error) {
	var columns, integers int
	err := db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE upper(type) = 'INTEGER' AND name = ?)
		FROM pragma_table_info(?) WHERE pk > 0`, d.Key, d.Table).Scan(&columns, &integers)
	if err != nil {
		return false, fmt.Errorf("look at the key: %w", err)
	}
	return columns == 1 && integers == 1, nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
