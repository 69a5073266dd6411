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

require (
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)

replace (
	github.com/chunkfill/chunkfill => ../
	github.com/chunkfill/chunkfill/bench => ../bench
)

tool honnef.co/go/tools/cmd/staticcheck
