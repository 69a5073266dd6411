package lite

import "sync"

// Lifts keeps the wal_autocheckpoint of a pool's one connection raised for as long
// as any of the writers that share it wants that: to the highest that is wanted,
// and back to the host's with the last. It is safe for concurrent use. The zero
// value is ready, and nil raises nothing.
type Lifts struct {
	mu    sync.Mutex
	host  int // what the host had before the first
	wants map[*Writer]int
}

// of is what to give the connection back with, on which w has found so much. A host
// that has turned it off (0) does its own upkeep and is left alone.
func (l *Lifts) of(w *Writer, found int) int {
	if l == nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wants) == 0 {
		l.host = found
	}
	if l.host == 0 {
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
	return highest
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
