package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/engine"
)

// patient is the database that is examined.
type patient struct {
	path string // as it was given
	file string // absolute, and where symlinks lead: the files beside it are there
	db   *sql.DB
	now  time.Time

	closed  closed  // what was seen before this process opened it
	watched watched // who has it open, as far as locks tell

	version    int // of the tables of jobs; 0 without any
	jobs       []job
	unreadable string // why the jobs cannot be listed; "" if they can
}

// job is a job, and who runs it.
type job struct {
	chunkfill.Status
	owner    string
	owned    bool
	ownerErr error
}

// admit opens the database to read, and learns what several checks need.
func admit(ctx context.Context, path string) (*patient, error) {
	p := &patient{path: path, now: time.Now()}
	if path != "" { // what is wrong with the name Open says
		file, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("locate %s: %w", path, err)
		}
		if resolved, err := filepath.EvalSymlinks(file); err == nil {
			file = resolved
		}
		p.file, p.closed = file, lookBefore(file)
	}

	var err error
	if p.db, err = database.Open(ctx, path, "ro"); err != nil {
		return nil, err
	}
	if err = p.readJobs(ctx); err == nil {
		p.watched, err = watch(ctx, p.file, p.dataVersion)
	}
	if err != nil {
		p.db.Close()
		return nil, err
	}
	return p, nil
}

func (p *patient) readJobs(ctx context.Context) (err error) {
	if p.version, err = checkpoint.Version(ctx, p.db); err != nil {
		return err
	}
	statuses, err := engine.ReadStatuses(ctx, p.db)
	if errors.Is(err, chunkfill.ErrUnreadable) {
		p.unreadable = err.Error()
		return nil
	}
	if err != nil {
		return err
	}

	for _, s := range statuses {
		j := job{Status: s}
		j.owner, j.owned, j.ownerErr = engine.Owner(ctx, p.db, s.Name)
		p.jobs = append(p.jobs, j)
	}
	return nil
}

// ask reads one value.
func (p *patient) ask(ctx context.Context, query string, to any) error {
	if err := p.db.QueryRowContext(ctx, query).Scan(to); err != nil {
		return fmt.Errorf("examine %s: %w", p.path, err)
	}
	return nil
}

// size of a file beside the database, such as "-wal"; 0 if there is none.
func (p *patient) size(suffix string) int64 {
	info, err := os.Stat(p.file + suffix)
	if err != nil {
		return 0
	}
	return info.Size()
}

// dataVersion changes when another connection commits.
func (p *patient) dataVersion(ctx context.Context) (n int64, err error) {
	err = p.ask(ctx, "PRAGMA main.data_version", &n)
	return n, err
}
