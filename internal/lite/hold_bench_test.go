package lite_test

import (
	"context"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// BenchmarkHold is what a hold costs beside the work that is done in it.
func BenchmarkHold(b *testing.B) {
	w := lite.Writer{DB: open(b), NoAutocheckpoint: true, Override: new(lite.AutocheckpointOverride), Autocheckpoint: 6000}
	for range b.N {
		if _, err := w.Hold(testContext(b), func(context.Context, lite.Querier) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
