package lite

import (
	"database/sql"
	"sync"
)

// AutocheckpointOverride raises wal_autocheckpoint on a pool's only connection for as long
// as any of the writers that share it wants that. It sets the highest value that any of
// them wants, and restores the host's value when the last one is done. It is safe for
// concurrent use. The zero value is ready to use; a nil override raises nothing.
type AutocheckpointOverride struct {
	mu    sync.Mutex
	users int // how many engines share it
	host  int // the host's own value
	given int // the value that the connection was last returned with
	wants map[*Writer]int
	lost  bool // the pool has discarded its connection between two holds
}

// markLost records that the pool's connection is gone together with statements compiled on
// it, as happens when the host cancels a query of its own. Nothing can close those
// statements any more, and SQLite keeps the file open for them. From then on no statement
// is kept from one hold to the next, so this happens at most once.
func (o *AutocheckpointOverride) markLost() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost = true
}

func (o *AutocheckpointOverride) isLost() bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// apply returns the value to set before the connection is returned; found is the value that
// w found on it. A host that has turned automatic checkpoints off (0) manages the log
// itself and is left alone.
func (o *AutocheckpointOverride) apply(w *Writer, found int) int {
	if o == nil {
		return found
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.wants) == 0 || found != o.given { // the host may have changed it in the meantime
		o.host = found
	}
	if o.host == 0 {
		delete(o.wants, w)
		o.given = found
		return found
	}
	if w.Autocheckpoint == 0 {
		delete(o.wants, w)
	} else {
		if o.wants == nil {
			o.wants = map[*Writer]int{}
		}
		o.wants[w] = w.Autocheckpoint
	}
	highest := o.host
	for _, want := range o.wants {
		highest = max(highest, want)
	}
	o.given = highest
	return highest
}

// overrides holds one override per pool: with one each, two engines on the same pool would
// take each other's value for the host's.
var overrides = struct {
	sync.Mutex
	of map[*sql.DB]*AutocheckpointOverride
}{of: map[*sql.DB]*AutocheckpointOverride{}}

// ShareAutocheckpointOverride returns the override of a pool. Call done to release it.
func ShareAutocheckpointOverride(db *sql.DB) (o *AutocheckpointOverride, done func()) {
	overrides.Lock()
	defer overrides.Unlock()
	o = overrides.of[db]
	if o == nil {
		o = &AutocheckpointOverride{}
		overrides.of[db] = o
	}
	o.users++
	return o, sync.OnceFunc(func() {
		overrides.Lock()
		defer overrides.Unlock()
		if o.users--; o.users == 0 {
			delete(overrides.of, db)
		}
	})
}

func (o *AutocheckpointOverride) has(w *Writer) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.wants[w]
	return ok
}
