package torture_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// TestManyProcessesOneJob starts the same jobs in several processes at once: each
// row is done once, and who does not run a job says who does.
func TestManyProcessesOneJob(t *testing.T) {
	const rivals = 6
	tr := newTrial(t, subject(t), torture.Shapes[0], 20_000, "-live", "0", "-sole=false")
	var processes []*process
	for range rivals {
		processes = append(processes, begin(t, tr.command(0)))
	}
	worked, refused := 0, 0
	for _, p := range processes {
		switch _, err := p.end(); {
		case err == nil:
			worked++
		case strings.Contains(err.Error(), "another run has this migration") && strings.Contains(err.Error(), "by pid"):
			refused++
		default:
			t.Error(err)
		}
	}
	verdict := tr.wantRight()
	t.Logf("%d processes: %d came to the end, %d were told who has it; %d rows, each done once", rivals, worked, refused, verdict.Rows)
	if worked == 0 || worked+refused != rivals {
		t.Errorf("%d worked, %d refused", worked, refused)
	}
}

// TestStandbyTakesOver is a rolling deploy in which the first process dies: of
// those that stand by, one goes on at once.
func TestStandbyTakesOver(t *testing.T) {
	tr := newTrial(t, subject(t), torture.Shapes[0], 3_000, "-live", "0", "-sole=false", "-jobs", "inc_n", "-start")
	owner := tr.command(0)
	owner.Args = append(owner.Args, "-stand-at", "2")
	first := begin(t, owner)
	first.says("standing")
	standbys := []*process{begin(t, tr.command(0)), begin(t, tr.command(0)), begin(t, tr.command(0))}
	for _, p := range standbys {
		p.says("started")
	}
	first.signal(syscall.SIGKILL)
	killed := time.Now()
	if _, err := first.end(); !torture.Killed(err) {
		t.Fatalf("%v, want a kill", err)
	}
	idle := 0
	for _, p := range standbys {
		out, err := p.end()
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(out, "batches: 0\n") {
			idle++
		}
	}
	t.Logf("3 processes stood by; the job was done %v after the owner's death", time.Since(killed).Round(time.Millisecond))
	if idle != 2 {
		t.Errorf("%d of 3 did nothing, want 2", idle)
	}
	if n := tr.value("SELECT count(*) || ' ' || count(DISTINCT u) FROM rewrites"); n != "3000 3000" {
		t.Errorf("rewrites and rows: %s", n)
	}
}

// TestStoppedOwner: an owner is stopped, and another process takes its place all the
// same, which it can only do without the lock. When it goes on it must find out and
// write nothing. Planted and caught: a checkpoint saved without looking at the run
// id.
func TestStoppedOwner(t *testing.T) {
	for _, successor := range []string{"halfway", "done"} {
		t.Run(successor, func(t *testing.T) {
			tr, err := stoppedOwner(t, subject(t), successor == "done")
			t.Logf("the old owner said: %v", err)
			if err == nil || !strings.Contains(err.Error(), "another run has taken this job over") {
				t.Errorf("the old owner ended with %v", err)
			}
			n := tr.value("SELECT count(*) || ' ' || count(DISTINCT u) FROM rewrites")
			t.Logf("rewrites and rows at the end: %s", n)
			if n != "500 500" {
				t.Errorf("rewrites and rows: %s", n)
			}
		})
	}
	t.Run("planted", func(t *testing.T) {
		tr, err := stoppedOwner(t, build(t, torture.RunIDNotChecked), false)
		n := tr.value("SELECT count(*) || ' ' || count(DISTINCT u) FROM rewrites")
		if n == "500 500" {
			t.Errorf("not caught; the old owner said %v", err)
		}
		t.Logf("planted %q: caught by a stopped owner that goes on, %s rewrites and rows", torture.RunIDNotChecked.Name, n)
	})
}

// stoppedOwner plays it through and returns what the old owner ended with.
func stoppedOwner(t *testing.T, program string, done bool) (*trial, error) {
	t.Helper()
	tr := newTrial(t, program, torture.Shapes[0], 500, "-live", "0", "-sole=false", "-jobs", "inc_n", "-hold", "100us", "-stand-at", "2")
	owner := begin(t, tr.command(0))
	owner.says("standing")
	owner.signal(syscall.SIGSTOP)
	owner.walk() // it would, if it were not stopped
	rival := *tr
	rival.program = build(t, torture.LockNotTaken)
	next := begin(t, rival.command(0))
	next.says("standing")
	if done {
		next.walk()
		if _, err := next.end(); err != nil {
			t.Fatal(err)
		}
	}
	const standing = `SELECT format('run %.8s, %d scanned, at %s, %d rewrites', run_id, rows_scanned, updated_at, (SELECT count(*) FROM rewrites))
		FROM _async_migration_ranges`
	before := tr.value(standing)
	owner.signal(syscall.SIGCONT)
	_, err := owner.end()
	after := tr.value(standing)
	t.Logf("checkpoint and rewrites when it went on: %s; when it ended: %s", before, after)
	if after != before && program == subject(t) {
		t.Error("the old owner wrote")
	}
	if !done {
		next.walk()
		if _, err := next.end(); err != nil && program == subject(t) {
			t.Fatal(err)
		}
	}
	return tr, err
}

// TestAnotherProcessWritesAllTheTime: neither it nor the live writes of the job's
// own process see BUSY or wait for long.
func TestAnotherProcessWritesAllTheTime(t *testing.T) {
	sweeping(t)
	tr := newTrial(t, subject(t), torture.Shapes[0], 60_000, "-live", "0", "-sole=false", "-ingest", "200")
	other := tr.command(0)
	other.Args = append(other.Args, "-jobs", "")
	rival, owner := begin(t, other), begin(t, tr.command(0))
	began := time.Now()
	ownOut, err := owner.end()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("jobs done in %v", time.Since(began).Round(time.Millisecond))
	rivalOut, err := rival.end()
	if err != nil {
		t.Fatal(err)
	}
	tr.wantRight()
	for who, out := range map[string]string{"own": ownOut, "rival": rivalOut} {
		in, err := torture.IngestOf(out)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-5s %4d writes, %d BUSY, p50 %v, p99 %v, max %v", who, in.Writes, in.Busy, in.P50, in.P99, in.Max)
		// Loose: machines that run tests are slow and shared. What it is for are
		// writes that starve, which wait for seconds.
		if in.Busy > 0 || len(in.Failed) > 0 || in.P99 > time.Second {
			t.Errorf("%s: %+v", who, in)
		}
	}
}
