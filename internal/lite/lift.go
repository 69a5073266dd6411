package lite

import (
	"database/sql"
	"sync"
)

// Lifts keeps the wal_autocheckpoint of a pool's one connection raised for as long
// as any of the writers that share it wants that: to the highest that is wanted,
// and back to the host's with the last. It is safe for concurrent use. The zero
// value is ready, and nil raises nothing.
type Lifts struct {
	mu    sync.Mutex
	users int // engines that share it
	host  int // what the host has set
	given int // what the connection was last given back with
	wants map[*Writer]int
	lost  bool // the pool has thrown its connection away between two holds
}

// lose notes that the pool's connection is gone with statements compiled on it, as when
// the host gives up a query of its own by its context: nothing can close those any more,
// and SQLite keeps the file open for them. It happens once: then none is kept from one
// hold to the next.
func (l *Lifts) lose() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

func (l *Lifts) loses() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// of is what to give the connection back with, on which w has found so much. A host
// that has turned it off (0) does its own upkeep and is left alone.
func (l *Lifts) of(w *Writer, found int) int {
	if l == nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wants) == 0 || found != l.given { // the host may change it meanwhile
		l.host = found
	}
	if l.host == 0 {
		delete(l.wants, w)
		l.given = found
		return found
	}
	if w.Lift == 0 {
		delete(l.wants, w)
	} else {
		if l.wants == nil {
			l.wants = map[*Writer]int{}
		}
		l.wants[w] = w.Lift
	}
	highest := l.host
	for _, want := range l.wants {
		highest = max(highest, want)
	}
	l.given = highest
	return highest
}

// lifts are those of the pools that an engine works on: two engines on one pool would
// each take the other's value for the host's.
var lifts = struct {
	sync.Mutex
	of map[*sql.DB]*Lifts
}{of: map[*sql.DB]*Lifts{}}

// ShareLifts returns the Lifts of a pool, to be given back with done.
func ShareLifts(db *sql.DB) (l *Lifts, done func()) {
	lifts.Lock()
	defer lifts.Unlock()
	l = lifts.of[db]
	if l == nil {
		l = &Lifts{}
		lifts.of[db] = l
	}
	l.users++
	return l, sync.OnceFunc(func() {
		lifts.Lock()
		defer lifts.Unlock()
		if l.users--; l.users == 0 {
			delete(lifts.of, db)
		}
	})
}

func (l *Lifts) has(w *Writer) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.wants[w]
	return ok
}
