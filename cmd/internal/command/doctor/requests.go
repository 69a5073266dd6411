package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/record"
)

const (
	// A request is honored within a quarter of a second by whoever runs the job.
	unheardFor = 10 * time.Second
	// A request of a job that nobody runs, and a pause, are not forgotten for so long.
	forgottenFor = time.Hour
	pausedFor    = 24 * time.Hour
)

// aboutRequests finds a pause or a cancel that nobody has honored, or that was forgotten.
func aboutRequests(ctx context.Context, p *patient) ([]finding, error) {
	if p.unreadable != "" {
		return []finding{untold("the jobs cannot be listed")}, nil
	}

	var found []finding
	for _, j := range p.jobs {
		if j.Request.Control == chunkfill.NoControl || j.Request.All || j.Phase == chunkfill.Done || j.Phase == chunkfill.Cancelled {
			continue
		}
		at, err := p.askedAt(ctx, j)
		if err != nil {
			return nil, err
		}
		found = append(found, p.aboutRequest(j, at))
	}

	more, err := p.furtherRequests(ctx)
	return orNone(append(found, more...)), err
}

// aboutRequest is about what was asked of a job at some time.
func (p *patient) aboutRequest(j job, at time.Time) finding {
	r, since := j.Request, p.now.Sub(at)
	asked := fmt.Sprintf("%s, asked by %s %s ago: %s", r.Control, r.By, age(since), r.Reason)
	f := fine("%s", asked).of(j.Name)
	known := j.ownerErr == nil
	switch {
	case known && !j.owned && since > forgottenFor:
		return f.advise("%s: %s; nobody runs the job: start it, or `chunkfill resume --db %s %s` takes it back", j.Name, asked, p.path, j.Name)
	case known && j.owned && since > unheardFor && !honored(j):
		return f.advise("%s: %s; the process that runs the job has not honored it: it is stopped, or hangs", j.Name, asked)
	case j.Phase == chunkfill.Paused && since > pausedFor:
		return f.advise("%s: %s; the job stands still since: `chunkfill resume --db %s %s`, or cancel it", j.Name, asked, p.path, j.Name)
	}
	return f
}

func honored(j job) bool {
	return j.Request.Control == chunkfill.Pause && j.Phase == chunkfill.Paused ||
		j.Request.Control == chunkfill.Cancel && j.Phase == chunkfill.Reverting
}

// askedAt is when a request was made: the audit trail has it. Of one that is older than
// that, it is when the job changed last.
func (p *patient) askedAt(ctx context.Context, j job) (time.Time, error) {
	events, err := checkpoint.Events(ctx, p.db, j.Name, checkpoint.MaxEvents)
	if err != nil {
		return time.Time{}, err
	}
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Event == string(j.Request.Control)+" asked" {
			return events[i].At, nil
		}
	}
	return j.UpdatedAt, nil
}

// furtherRequests are those that a job's own record has no place for: of one job, or,
// without a name, of all.
func (p *patient) furtherRequests(ctx context.Context) (found []finding, err error) {
	pending, err := record.Requests(ctx, p.db)
	for _, r := range pending {
		since := p.now.Sub(r.At)
		asked := fmt.Sprintf("%s, asked by %s %s ago: %s", r.Request, r.By, age(since), r.Reason)
		found = append(found, p.aboutFurther(r.Name, asked, since))
	}
	return found, err
}

func (p *patient) aboutFurther(name, asked string, since time.Duration) finding {
	if name == "" {
		f := fine("of all jobs: %s", asked)
		if since > pausedFor {
			f = f.advise("of all jobs: %s; it holds for jobs that start later, too: `chunkfill resume --db %s --all` takes it back", asked, p.path)
		}
		return f
	}

	f := fine("%s", asked).of(name)
	at := slices.IndexFunc(p.jobs, func(j job) bool { return j.Name == name })
	switch {
	case at < 0:
		return f.advise("%s: %s; there is no such job any more", name, asked)
	case p.jobs[at].ownerErr != nil:
		return f
	case !p.jobs[at].owned && since > forgottenFor:
		return f.advise("%s: %s; nobody runs the job: start it, and whoever runs it honors the request", name, asked)
	}
	return f
}
