//go:build race

package engine_test

// The race detector makes SQLite, which is compiled to Go, ten times as slow.
func init() { underRace = true }
