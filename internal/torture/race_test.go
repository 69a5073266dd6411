//go:build race

package torture_test

// The race detector makes SQLite, which is compiled to Go, ten times as slow. The
// programs of the sweeps are built without it, so it has nothing to see there.
func init() { modelChecks, sweeps, stepRows = 25, false, 300 }
