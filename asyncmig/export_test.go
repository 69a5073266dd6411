//go:build go1.25

package asyncmig

// Standbys is how many the store has.
func (s *Store) Standbys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.standbys)
}
