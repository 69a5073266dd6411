module github.com/chunkfill/chunkfill/cmd

go 1.26.0

require (
	github.com/bluekeyes/go-gitdiff v0.9.0
	github.com/chunkfill/chunkfill v0.0.0
	github.com/chunkfill/chunkfill/bench v0.0.0
	github.com/rogpeppe/go-internal v1.16.0
	github.com/spf13/cobra v1.10.2
	github.com/sqlc-dev/meyer v0.1.2
	golang.org/x/term v0.47.0
	golang.org/x/tools v0.52.0
	modernc.org/sqlite v1.61.1
)

replace (
	github.com/chunkfill/chunkfill => ../
	github.com/chunkfill/chunkfill/bench => ../bench
)
