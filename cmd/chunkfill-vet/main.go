// Command chunkfill-vet runs the gate of `chunkfill preflight` as a go vet tool:
//
//	go vet -vettool=$(which chunkfill-vet) ./...
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/analysis"
)

func main() { unitchecker.Main(analysis.Analyzer) }
