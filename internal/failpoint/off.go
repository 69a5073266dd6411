//go:build !chunkfill_failpoints

// Package failpoint names the instants at which a crash is worth trying.
//
// In an ordinary build Hit is empty and inlined away. Built with the tag
// chunkfill_failpoints, Hit counts the instants and kills the process (SIGKILL,
// so nothing is flushed or deferred) at the one the environment asks for; the
// crash harness re-runs a program until every instant has been tried.
package failpoint

// Hit marks an instant. It does nothing in this build.
func Hit(string) {}

// Note is for a trace of what the library does, which tests compare. It does nothing in
// this build.
func Note(string, ...any) {}

// Seed is that of what is otherwise left to chance: 0, for a seed that nobody knows.
func Seed() uint64 { return 0 }
