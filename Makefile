.DEFAULT_GOAL := help
.PHONY: help demo test race lint bench heard seat fuzz release ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## rewrite 1.9 million rows while a live load goes on
	go run ./cmd/chunkfill demo

test: ## all tests of all modules
	.ci/run test

race: ## the same with the race detector
	RACE_SKIP= .ci/run race

lint: ## gofmt, go mod tidy, go vet, staticcheck, golangci-lint
	.ci/run format tidy lint

bench: ## every benchmark; BENCHTIME=1x for a quick look
	go test -run '^$$' -bench . -benchtime $(or $(BENCHTIME),1s) work

heard: ## worst time from request to effect, ten tries of each in each state of a job; some 5 minutes
	go test -count=1 -v -timeout 30m -run 'TestHeard(All)?$$' ./cmd/chunkfill -args -heard $(or $(TRIES),10) | grep -E 'worst of|^(ok|FAIL|---)'

fuzz: ## every fuzz target for a minute; FUZZTIME=10m for longer
	FUZZTIME=$(or $(FUZZTIME),1m) .ci/run fuzz

release: ## VERSION=v0.1.0: make that release in a new folder and prove that it can be installed; tags nothing
	.ci/release $(VERSION)

ci: ## all that must hold before a change is merged
	.ci/run

# crash, faults and soak.
-include internal/torture/torture.mk

seat: ## every command beside a demo of 1.9 million rows: worst of ten pauses, live p99 compared with a demo left alone; some 5 minutes
	go test -count=1 -v -timeout 20m -run 'TestSeat$$' ./cmd/chunkfill -args -seat.rows $(or $(ROWS),1900000) -seat.tries 10 -seat.pairs 3
