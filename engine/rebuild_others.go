package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// alone refuses a job for a table to which another gives a new shape or an index.
func alone(ctx context.Context, q lite.Querier, name, table string) error {
	all, err := record.List(ctx, q)
	if errors.Is(err, chunkfill.ErrUnreadable) {
		return nil // what is not known is not said; the names in the schema are looked at all the same
	}
	if err != nil {
		return err
	}
	for _, cp := range all {
		of, _, ofSchema := strings.Cut(cp.Step, ": ") // each step of a schema job has the name of its table
		if !ofSchema {
			of = cp.Table
		}
		over := slices.Contains([]chunkfill.Phase{chunkfill.Done, chunkfill.Cancelled}, cp.Phase)
		if over || cp.Name == name || !lite.SameName(of, table) || len(cp.InSchema()) == 0 && cp.PastReturn() == "" {
			continue
		}
		return fmt.Errorf("%w: job %s has the table %s in hand, at step %s; bring it to its end, or cancel it", reshape.ErrShape, cp.Name, table, cp.Step)
	}
	return nil
}

// besideNone refuses changes of a table which another job would not survive. Triggers and views may come and go.
func besideNone(ctx context.Context, q lite.Querier, job jobs.Schema) error {
	for _, c := range job.Changes {
		loose := func(statement string) bool {
			words := strings.Fields(strings.ToUpper(statement))
			return len(words) > 1 && (words[1] == "TRIGGER" || words[1] == "VIEW")
		}
		if c.Rebuild == "" && !slices.ContainsFunc(slices.Concat(c.Statements, c.Then), func(s string) bool { return !loose(s) }) {
			continue
		}
		if err := alone(ctx, q, job.Name, c.Table); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}
