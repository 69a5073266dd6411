//go:build race

package torture_test

// The race detector makes SQLite, which is compiled to Go, ten times as slow.
func init() { modelChecks = 25 }
