//go:build race

package preflight_test

func init() { raceDetector = true }
