package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

const (
	// A log that is longer, and still to be copied, is more than SQLite's own checkpoints,
	// at 1000 pages, leave behind.
	longLog = 16 << 20
	// Below this a job waits, unless it is told otherwise; see engine.Config.MinFree.
	minFree = 64 << 20
	// What a log may grow to before a job waits, unless it is told otherwise.
	walCap = 256 << 20
)

// aboutFile is about the file and its names.
func aboutFile(ctx context.Context, p *patient) ([]finding, error) {
	f := fine("%s, %s", p.file, size(p.size("")))
	if err := asyncmig.NewStore(p.db, asyncmig.Config{}).CheckFile(ctx); err != nil {
		return []finding{f.advise("%v", err)}, nil
	}

	info, err := os.Stat(p.file)
	if err != nil {
		return nil, fmt.Errorf("look at the file: %w", err)
	}
	if n, known := system.Names(info); known && n > 1 {
		f.Text += fmt.Sprintf(", %d names", n)
		f = f.advise("the file has %d names (hard links): every process must open it under the same one, since SQLite keeps a log beside each; remove the others", n)
	}
	return []finding{f}, nil
}

// aboutWAL is about the length of the log, and whether it is of a process that has crashed.
func aboutWAL(ctx context.Context, p *patient) ([]finding, error) {
	bytes := p.size("-wal")
	if p.closed.alone && p.closed.walBytes > 0 {
		return []finding{fine("%s, left by a process that ended without closing the database", size(p.closed.walBytes)).advise(
			"a process has crashed or was killed and left its log: nothing is lost, what it has committed is read from there; leave the -wal file beside the database, the next process that writes and closes it takes it in")}, nil
	}
	if bytes == 0 {
		return []finding{fine("empty")}, nil
	}

	pending, known := p.pending(ctx)
	if !known {
		return []finding{fine("%s", size(bytes))}, nil
	}
	f := fine("%s, of which %s are not in the database file yet", size(bytes), size(pending))
	if pending > longLog {
		f = f.advise("the log has %s that nobody has copied into the database file: a reader keeps it, see above, or nobody checkpoints; "+
			"`PRAGMA wal_checkpoint(TRUNCATE)` on a connection that writes does, when its readers are gone", size(pending))
	}
	return []finding{f}, nil
}

// pending is how much of the log is still to be copied, where SQLite can be asked.
func (p *patient) pending(ctx context.Context) (bytes int64, known bool) {
	const frameHeader = 24
	var busy, frames, done, page int64
	if err := p.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &done); err != nil || frames < 0 {
		return 0, false
	}
	if err := p.ask(ctx, "PRAGMA main.page_size", &page); err != nil {
		return 0, false
	}
	return max(0, frames-done) * (page + frameHeader), true
}

// aboutSpace compares what is free with what there is.
func aboutSpace(_ context.Context, p *patient) ([]finding, error) {
	free, known := system.Free(p.file)
	if !known {
		return []finding{untold("this system does not tell how much is free")}, nil
	}

	have := p.size("")
	f := fine("%s, beside a database of %s", size(free), size(have))
	switch {
	case free < minFree:
		f = f.advise("less than %s is free (%s): a job waits until there is more, or is run with another --min-free", size(minFree), size(free))
	case free < minFree+walCap:
		f = f.advise("%s are free, and the log may grow to %s before a job waits for it: make room, or the job waits below %s", size(free), size(walCap), size(minFree))
	case free < have:
		f.Text += "; a rewrite in place fits, a VACUUM would not"
	}
	return []finding{f}, nil
}

// oldLock is what the first versions called the files that they locked, after the name of
// the database.
const oldLock = "-chunkfill-"

// aboutSideFiles lists the files beside the database that belong to it, and who has locks
// on them.
func aboutSideFiles(_ context.Context, p *patient) ([]finding, error) {
	entries, err := os.ReadDir(filepath.Dir(p.file))
	if err != nil {
		return []finding{untold("the folder cannot be read: %v", err)}, nil
	}

	var found []finding
	base := filepath.Base(p.file)
	for _, entry := range entries {
		suffix, ok := strings.CutPrefix(entry.Name(), base)
		lock := strings.HasPrefix(suffix, oldLock) && strings.HasSuffix(suffix, ".lock")
		if ok && (lock || suffix == "-wal" || suffix == "-shm" || suffix == "-journal") {
			found = append(found, p.aboutSideFile(suffix, lock).of(entry.Name()))
		}
	}
	return orNone(found), nil
}

func (p *patient) aboutSideFile(suffix string, lock bool) finding {
	f := fine("%s", size(p.size(suffix)))
	unlocked := false
	if lock || suffix == "-shm" { // SQLite locks neither of the others
		var by string
		by, unlocked = p.lockedBy(suffix)
		f.Text += ", " + by
	}
	switch {
	case lock && unlocked:
		return f.advise("%s is the lock of an earlier version of chunkfill and nobody has it: remove the file once no process has that version", filepath.Base(p.file)+suffix)
	case suffix == "-journal" && p.size(suffix) > 0:
		return f.advise("there is a rollback journal beside the database: a transaction is under way that is not in WAL mode, or one has crashed; " +
			"leave the file there, the next process that opens the database rolls it back")
	}
	return f
}

// lockedBy says who has locks on a file beside the database, and whether it is known that
// nobody has.
func (p *patient) lockedBy(suffix string) (text string, nobody bool) {
	locks, seesAll, err := system.Locks(p.file + suffix)
	var by []system.Process
	for _, l := range locks {
		if l.By.PID != os.Getpid() {
			by = append(by, l.By)
		}
	}
	switch {
	case err != nil:
		return "whether it is locked is unknown", false
	case len(by) > 0:
		return "locked by " + programs(by), false
	case !seesAll:
		return "not locked, as far as can be seen from here", false
	}
	return "not locked", true
}
