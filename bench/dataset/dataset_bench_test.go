package dataset

import (
	"path/filepath"
	"testing"
)

// BenchmarkGenerate makes a table of b.N times 100,000 rows and reports rows/s.
func BenchmarkGenerate(b *testing.B) {
	for _, shape := range []Shape{Clustered, Scattered} {
		b.Run(string(shape), func(b *testing.B) {
			const rows = 100_000
			for b.Loop() {
				path := filepath.Join(b.TempDir(), "demo.db")
				if _, err := Generate(b.Context(), path, Config{Rows: rows, Shape: shape}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
