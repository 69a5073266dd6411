# The long forms of the tests in internal/torture. What they print is what has been shown.
TORTURE = go test -count=1 -v -timeout 60m ./internal/torture -full
FIGURES = grep -vE '^ *(=== |--- PASS|PASS$$)'

.PHONY: crash faults soak

crash: ## kill the program at every failpoint and by 200 random seeds; plant bugs
	$(TORTURE) -run 'KilledAtEveryFailpoint|RandomKills|Planted|StoppedOwner|PowerCut' | $(FIGURES)

faults: ## have the disk fail, fill up and lose the process at each write
	$(TORTURE) -run 'KilledAtWrites|FailingDisk|SmallDisk|LittleFreeSpace|FullDatabase' | $(FIGURES)

soak: ## ingest for 30 minutes beside jobs that pause, fail and start; SOAK=60s for less
	$(TORTURE) -run Soak -soak $(or $(SOAK),30m) | $(FIGURES)
