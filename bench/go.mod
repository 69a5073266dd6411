module github.com/chunkfill/chunkfill/bench

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/chunkfill/chunkfill v0.0.0
	gonum.org/v1/plot v0.17.0
	modernc.org/sqlite v1.61.1
)

replace github.com/chunkfill/chunkfill => ../
