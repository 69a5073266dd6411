package status

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/stopfile"
)

// overview is how the jobs of a database stand, and what is asked of them.
type overview struct {
	Jobs     []output.Job `json:"jobs"`
	Requests []request    `json:"requests"`  // that nobody has carried out yet
	StopFile *string      `json:"stop_file"` // its name and first line; nil if there is none
}

// request is a pause of all jobs, or what needs the code of one.
type request struct {
	Job     *string   `json:"job"` // nil for all
	Request string    `json:"request"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// look reads it, of all jobs or of those named.
func look(ctx context.Context, db *sql.DB, path string, names []string) (o overview, err error) {
	statuses, err := readStatuses(ctx, db, path, names)
	if err != nil {
		return o, err
	}
	o.Jobs = make([]output.Job, len(statuses))
	for i, s := range statuses {
		o.Jobs[i] = output.Job{Status: s, OwnerAlive: database.OwnerAlive(ctx, db, s.Name)}
	}

	pending, err := record.Requests(ctx, db)
	if err != nil {
		return o, err
	}
	o.Requests = []request{}
	for _, p := range pending {
		r := request{Request: p.Request, By: p.By, Reason: p.Reason, At: p.At}
		if p.Name != "" {
			if len(names) > 0 && !slices.Contains(names, p.Name) {
				continue
			}
			r.Job = &p.Name
		}
		o.Requests = append(o.Requests, r)
	}

	file, err := databaseFile(ctx, db)
	if err != nil {
		return o, err
	}
	if why, stands := stopfile.Look(file); stands {
		o.StopFile = &why
	}
	return o, nil
}

// databaseFile is the name of the database that jobs look beside: links are followed, as SQLite
// does for its log.
func databaseFile(ctx context.Context, db *sql.DB) (database string, err error) {
	err = db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&database)
	return database, err
}
