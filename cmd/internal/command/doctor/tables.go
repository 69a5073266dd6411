package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/record"
)

func aboutTables(_ context.Context, p *patient) ([]finding, error) {
	if p.version == 0 {
		return []finding{fine("none: no job has run on this database")}, nil
	}
	f := fine("version %d", p.version)
	if p.version < checkpoint.CurrentVersion {
		f = f.advise("the next run of a job brings the tables to version %d, and an older chunkfill refuses them from then on; "+
			"`chunkfill doctor --db %s --downgrade` is the way back", checkpoint.CurrentVersion, p.path)
	}
	return []finding{f}, nil
}

// object is a table, an index, a trigger or a view.
type object struct{ kind, name, table string }

// aboutSchema finds what stands in the schema of a job that nobody works on, and what has
// our names and no job needs.
func aboutSchema(ctx context.Context, p *patient) ([]finding, error) {
	var found []finding
	for _, j := range p.jobs {
		abandoned := j.ownerErr == nil && !j.owned
		if standing := output.InSchema(j.JobRecord, abandoned); standing != "" {
			f := fine("%s", standing).of(j.Name)
			if abandoned {
				f = f.advise("%s %s", j.Name, standing)
			}
			found = append(found, f)
		}
	}

	ours, err := p.ours(ctx)
	if err != nil {
		return nil, err
	}
	images, err := p.images(ctx)
	if err != nil {
		return nil, err
	}
	known := record.Objects()
	for _, o := range ours {
		if slices.Contains(known, o.name) || strings.Contains(images, o.name) || strings.Contains(images, o.table) || p.needs(o.name) {
			continue
		}
		f := fine("%s that no job needs", o.kind).of(o.name)
		if p.unreadable == "" { // else it may be of the job that cannot be read
			f = f.advise("the %s %s is of no job: if no other version of chunkfill uses this database, `DROP %s %s` removes it",
				o.kind, o.name, strings.ToUpper(o.kind), o.name)
		}
		found = append(found, f)
	}
	return orNone(found), nil
}

// ours lists what has our names, and the triggers on our tables, whatever their names.
func (p *patient) ours(ctx context.Context) (found []object, err error) {
	rows, err := p.db.QueryContext(ctx, `SELECT type, name, tbl_name FROM main.sqlite_schema
		WHERE name LIKE ?1 ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
			OR type = 'trigger' AND tbl_name LIKE ?1 ESCAPE '\' ORDER BY name`, strings.ReplaceAll(record.Prefix, "_", `\_`)+"%")
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.kind, &o.name, &o.table); err != nil {
			return nil, fmt.Errorf("read the schema: %w", err)
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

// images names the tables that hold what rows were before their jobs.
func (p *patient) images(ctx context.Context) (names string, err error) {
	if p.version < 3 {
		return "", nil
	}
	err = p.ask(ctx, "SELECT coalesce(group_concat(images, ' '), '') FROM main._async_migration_images", &names)
	return names, err
}

// needs reports whether a job takes an object back, and so has made it.
func (p *patient) needs(name string) bool {
	for _, j := range p.jobs {
		for _, t := range j.Takebacks {
			if strings.Contains(strings.Join(t.Statements, "\n"), name) {
				return true
			}
		}
	}
	return false
}

// aboutLedger finds migrations that are no jobs, and that nobody runs.
func aboutLedger(ctx context.Context, p *patient) ([]finding, error) {
	names, err := pendingInLedger(ctx, p.db)
	if err != nil {
		return nil, err
	}

	var found []finding
	for _, name := range names {
		if slices.ContainsFunc(p.jobs, func(j job) bool { return j.Name == name }) {
			continue // the job says more
		}
		owner, owned, err := engine.Owner(ctx, p.db, name)
		switch {
		case err != nil:
			found = append(found, untold("pending_async; who runs it: %v", err).of(name))
		case owned:
			found = append(found, fine("pending_async, run by %s", owner).of(name))
		case p.unreadable != "":
			found = append(found, fine("pending_async, run by nobody").of(name))
		default:
			found = append(found, fine("pending_async, run by nobody").of(name).advise(
				"the ledger says that %s is pending, and nobody runs it: start the service that does, or set its status by hand if it will never run again", name))
		}
	}
	return orNone(found), nil
}

// pendingInLedger lists what the ledger says is pending.
func pendingInLedger(ctx context.Context, db record.Querier) (names []string, err error) {
	var ledger bool
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '_async_migrations')").Scan(&ledger)
	if err != nil {
		return nil, fmt.Errorf("look for the ledger: %w", err)
	}
	if !ledger {
		return nil, nil
	}
	rows, err := db.QueryContext(ctx, "SELECT name FROM main._async_migrations WHERE status = ? ORDER BY name", asyncmig.StatusPendingAsync)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
