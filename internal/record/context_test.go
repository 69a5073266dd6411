//go:build !go1.24

package record_test

import (
	"context"
	"testing"
)

// testContext ends with the test.
func testContext(t testing.TB) context.Context {
	ctx, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	return ctx
}
