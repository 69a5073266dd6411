package engine

import (
	"context"
	"log/slog"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// warnOfStanding warns of each job that nobody runs while something of it stands in the
// schema: what a job leaves there costs each live write something, and somebody has to
// bring it to an end. A reader of the log waits for no writer, and a database without jobs
// is asked one thing.
func (e *Engine) warnOfStanding(ctx context.Context) {
	if !e.log.Enabled(ctx, slog.LevelWarn) {
		return
	}
	all, err := record.List(ctx, e.readQuerier())
	if err != nil {
		return // what is asked of a job says so
	}

	for _, cp := range all {
		stands, wayOut := standing(cp.JobRecord)
		if stands == "" {
			continue
		}
		if _, owned, err := e.store.Owner(ctx, cp.Name); owned || err != nil { // what is not known is not said
			continue
		}
		e.log.Warn("chunkfill: nobody runs a job that has changed the schema; "+wayOut,
			"job", cp.Name, "phase", cp.Phase, "made_by", stands, "last_run_by", cp.Owner)
	}
}

// standing returns the steps with which a job has changed the schema for as long as it is
// not at its end, and what to do about that; "" if there are none.
func standing(j chunkfill.JobRecord) (steps, wayOut string) {
	if past := j.PastReturn(); past != "" {
		return past, "start it again: it can only be brought to its end"
	}
	if j.Back {
		return strings.Join(j.InSchema(), ", "), "start or cancel it, and what is left of it is taken back"
	}
	return strings.Join(j.InSchema(), ", "), "start it again, or cancel it to take that back"
}
