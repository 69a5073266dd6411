# The long forms of these tests, for a release; the ordinary suite has a short one of each. They print what they
# did and nothing else.
.PHONY: archive crash faults soak trace undo
archive crash faults soak: SHELL := bash
archive crash faults soak: .SHELLFLAGS := -eo pipefail -c

torture = go test -count=1 -v -timeout 2h ./internal/torture

# Without the lines that only say that a test runs, and where in its source a line comes from.
figures = sed -uE '/^ *(=== |--- PASS: .*\/)/d; s/^--- PASS: (\w+) .*/ok  \1/; s/^ +\w+\.go:[0-9]+: /    /'

crash: ## kill at every failpoint and at random, cut the power, plant bugs; some 10 minutes
	@$(torture) -run 'TestKilledAtEvery|TestRandomKills|TestPlanted|TestStoppedOwner|TestPowerCut|TestBlackout' -args -full | $(figures)

archive: ## 500,000 of 1.9 million rows moved to another file: killed five times, at every failpoint, the power cut 2,000 times, bugs planted
	@$(torture) -run 'TestArchive|TestPlantedArchive' -args -full -archive-rows 1900000 | $(figures)

faults: ## disks that fail, are full or are torn away in the middle of a write
	@$(torture) -run 'TestKilledAtWrites|TestFailingDisk|TestSmallDisk|TestFullDatabase|TestLittleFreeSpace' -args -full | $(figures)

undo: ## a job over 200,000 rows and its undo, each killed twice, beside live writes; 2,000 random plays of an undo
	@CHUNKFILL_TEST_UNDO_ROWS=200000 CHUNKFILL_TEST_UNDO_PLAYS=2000 go test -count=1 -v -timeout 30m ./engine -run 'TestUndo(Killed|Randomly)$$' | $(figures)

soak: ## jobs and live writes for 30 minutes: nothing may grow; SOAK=5m for another time
	@$(torture) -run 'TestSoak|TestPlantedLeaks' -args -soak $(or $(SOAK),30m) | $(figures)

trace: ## what 2,000 seeded plays make the library do, to TRACE (trace.txt): for a diff between two versions
	@go test -count=1 -tags chunkfill_failpoints -timeout 30m ./internal/torture -run 'TestTrace$$' -args -trace $(abspath $(or $(TRACE),trace.txt))
