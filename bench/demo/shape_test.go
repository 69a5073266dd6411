package demo

import (
	"strings"
	"testing"
)

// TestRunShape makes both changes on a small table. Planted and caught: a row that a live write had changed
// written back as it was, a row less, a table that is not compared.
func TestRunShape(t *testing.T) {
	for _, change := range []Change{NewIndex, NewShape} {
		r, err := RunShape(t.Context(), ShapeConfig{Change: change, Rows: 3000, Seed: 3, Live: 400})
		if err != nil {
			t.Fatal(change, err)
		}
		if !r.OK() || r.Right != 3000 || r.Swap <= 0 || r.Plain <= 0 || r.Total <= 0 {
			t.Errorf("%s: %+v", change, r)
		}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "3000, 0") {
			t.Errorf("%v\n%s", err, text.String())
		}
	}
}
