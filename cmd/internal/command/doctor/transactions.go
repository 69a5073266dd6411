package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

func aboutProcesses(_ context.Context, p *patient) ([]finding, error) {
	if len(p.watched.users) > 0 {
		return []finding{fine("%s", programs(p.watched.users))}, nil
	}
	if f, untold := p.watched.cannotTell(); untold {
		return []finding{f}, nil
	}
	return []finding{fine("nobody else has the database open in WAL mode")}, nil
}

// aboutWriter tells a transaction that stays open from one after the other: they commit.
func aboutWriter(_ context.Context, p *patient) ([]finding, error) {
	w := p.watched
	switch {
	case w.writer != nil && !w.commits:
		return []finding{fine("%s has the write lock for %s or longer", w.writer, age(w.over)).advise(
			"%s has had the write lock for as long as was looked and has committed nothing: end its transaction, every other write waits for it", w.writer)}, nil
	case w.writer != nil:
		return []finding{fine("%s writes all the time, and commits", w.writer)}, nil
	}
	if f, untold := w.cannotTell(); untold {
		return []finding{f}, nil
	}
	return []finding{fine("nobody has the write lock for long")}, nil
}

// aboutReaders names who keeps the log from being begun anew.
func aboutReaders(_ context.Context, p *patient) ([]finding, error) {
	w := p.watched
	if len(w.readers) == 0 {
		if f, untold := w.cannotTell(); untold {
			return []finding{f}, nil
		}
		return []finding{fine("nobody reads in the log for long")}, nil
	}

	var found []finding
	for _, pid := range slices.Sorted(maps.Keys(w.readers)) {
		reader := w.readers[pid]
		f := fine("%s reads in it for %s or longer", reader, age(w.over))
		if p.size("-wal") > longLog {
			f = f.advise("%s pins the log, which is %s long and cannot begin anew: end its read transaction, or close rows that it has left open",
				reader, size(p.size("-wal")))
		}
		found = append(found, f)
	}
	return found, nil
}

func programs(processes []system.Process) string {
	texts := make([]string, len(processes))
	for i, one := range processes {
		texts[i] = fmt.Sprint(one)
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ", ")
}
