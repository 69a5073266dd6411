package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
)

// A job at work writes its record with each batch, many times a second.
const silentFor = time.Minute

// aboutJobs is how the jobs stand, who runs each, and what to do about it.
func aboutJobs(_ context.Context, p *patient) ([]finding, error) {
	if p.unreadable != "" {
		return []finding{untold("the jobs cannot be listed").advise(
			"%s; until then the jobs cannot be listed, but those that can be read can be run", p.unreadable)}, nil
	}

	var found []finding
	for _, j := range p.jobs {
		found = append(found, p.aboutJob(j))
	}
	return orNone(found), nil
}

func (p *patient) aboutJob(j job) finding {
	if j.ownerErr != nil {
		return untold("%s, run by whom: %v", j.Phase, j.ownerErr).of(j.Name)
	}
	by := "nobody"
	if j.owned {
		by = p.program(j.owner)
	}
	f := fine("%s, run by %s", j.Phase, by).of(j.Name)

	switch j.Phase {
	case chunkfill.Running, chunkfill.Verifying, chunkfill.Reverting, chunkfill.Paused, chunkfill.Waiting:
		if !j.owned {
			return f.advise("%s is %s, but nobody runs it: start it again, and it goes on where it stopped", j.Name, j.Phase)
		}
		if silent := p.now.Sub(j.UpdatedAt); j.Phase == chunkfill.Running && silent > silentFor {
			return f.advise("%s is at work and has written nothing for %s: the process that runs it is stopped, or waits for the write lock or for what it computes", j.Name, age(silent))
		}
	case chunkfill.Interrupted:
		if !j.owned {
			return f.advise("%s has stopped before its end: start it again, and it goes on there", j.Name)
		}
	case chunkfill.Failed:
		return f.advise("%s has failed (%s): start it again once that is mended", j.Name, j.Error)
	case chunkfill.Done:
		if j.Ledger != asyncmig.StatusDone && !j.owned {
			return f.advise("%s is done, but the ledger says %q: start it once more, and it says so without running", j.Name, j.Ledger)
		}
	}
	return f
}

// program adds the name of its program to an owner on this machine. A container counts its
// processes otherwise, so it must be one that has the database open here.
func (p *patient) program(owner string) string {
	var pid int
	if _, err := fmt.Sscanf(owner, "pid %d on this machine", &pid); err != nil {
		return owner
	}
	for _, user := range p.watched.users {
		if user.PID == pid && user.Name != "" {
			return fmt.Sprintf("%s (%s)", owner, user.Name)
		}
	}
	return owner
}

func aboutQuarantine(_ context.Context, p *patient) ([]finding, error) {
	if p.unreadable != "" {
		return []finding{untold("the jobs cannot be listed")}, nil
	}

	var found []finding
	for _, j := range p.jobs {
		if n := len(j.Quarantine); n > 0 {
			found = append(found, fine("%d rows", n).of(j.Name).advise(
				"%s has rows in quarantine (%d), which `chunkfill errors --db %s %s` lists: mend them and run it with --retry", j.Name, n, p.path, j.Name))
		}
	}
	return orNone(found), nil
}
