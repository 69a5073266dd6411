//go:build go1.25

package asyncmig

// Standbys is how many the store has.
func (s *Store) Standbys() int {
	s.standbys.mu.Lock()
	defer s.standbys.mu.Unlock()
	return len(s.standbys.all)
}
