package lite

import (
	"database/sql"
	"sync"
)

// AutocheckpointOverride keeps the wal_autocheckpoint of a pool's one connection raised for as long
// as any of the writers that share it wants that: to the highest that is wanted,
// and back to the host's with the last. It is safe for concurrent use. The zero
// value is ready, and nil raises nothing.
type AutocheckpointOverride struct {
	mu    sync.Mutex
	users int // engines that share it
	host  int // what the host has set
	given int // what the connection was last given back with
	wants map[*Writer]int
	lost  bool // the pool has thrown its connection away between two holds
}

// markLost notes that the pool's connection is gone with statements compiled on it, as when
// the host gives up a query of its own by its context: nothing can close those any more,
// and SQLite keeps the file open for them. It happens once: then none is kept from one
// hold to the next.
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

// apply is what to give the connection back with, on which w has found so much. A host
// that has turned it off (0) does its own upkeep and is left alone.
func (o *AutocheckpointOverride) apply(w *Writer, found int) int {
	if o == nil {
		return found
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.wants) == 0 || found != o.given { // the host may change it meanwhile
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

// overrides are those of the pools that an engine works on: two engines on one pool would
// each take the other's value for the host's.
var overrides = struct {
	sync.Mutex
	of map[*sql.DB]*AutocheckpointOverride
}{of: map[*sql.DB]*AutocheckpointOverride{}}

// ShareAutocheckpointOverride returns the AutocheckpointOverride of a pool, to be given back with done.
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
