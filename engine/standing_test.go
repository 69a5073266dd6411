package engine

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// warnings opens an engine and returns what New logged of jobs; of an old SQLite it logs
// another warning.
func (s *subject) warnings() string {
	s.t.Helper()
	var said bytes.Buffer
	e, err := New(s.db, Config{SoleProcess: true, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		s.t.Error(err)
	}

	var ofJobs strings.Builder
	for _, line := range strings.SplitAfter(said.String(), "\n") {
		if strings.Contains(line, "nobody runs") {
			ofJobs.WriteString(line)
		}
	}
	return ofJobs.String()
}

// wantOneWarning of the job, with these words.
func (s *subject) wantOneWarning(words ...string) {
	s.t.Helper()
	said := s.warnings()
	if strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "job=reshape") {
		s.t.Errorf("said %q", said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			s.t.Errorf("%q is not in %q", word, said)
		}
	}
}

func (s *subject) wantNoWarning(when string) {
	s.t.Helper()
	if said := s.warnings(); said != "" {
		s.t.Errorf("%s: said %q", when, said)
	}
}

// interruptAt runs the job until something is true of the database.
func (s *subject) interruptAt(query string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := s.engine(func(Hold) {
		if s.value(query) == "1" {
			cancel()
		}
	})
	if _, err := e.Run(ctx, s.job()); !errors.Is(err, ErrInterrupted) {
		s.t.Fatalf("%v", err)
	}
}

// TestWarnsOfWhatStands: an engine that opens a file in whose schema something of a job
// stands says so if nobody runs the job, and what to do. Planted and caught: no look at who
// runs it; the point of no return taken for an end; done jobs named.
func TestWarnsOfWhatStands(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	s.wantNoWarning("no job has run")

	s.interruptAt("SELECT count(*) FROM sqlite_schema WHERE name = 't_new'")
	s.wantOneWarning("phase=interrupted", "made_by=shadow", "start it again, or cancel it")

	during := sync.OnceFunc(func() { s.wantNoWarning("the job runs") })
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			during()
		}
	})
	if err := e.Start(context.Background(), s.job()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(context.Background(), "reshape"); err != nil {
		t.Fatal(err)
	}
	s.wantReshaped()
	s.wantNoWarning("the job is done")
}

// TestWarnsPastNoReturn: there a cancel is no way out.
func TestWarnsPastNoReturn(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	s.interruptAt("SELECT count(*) FROM sqlite_schema WHERE name = 't_old'")
	s.wantOneWarning("made_by=swap", "only be brought to its end")
	if said := s.warnings(); strings.Contains(said, "cancel") {
		t.Errorf("said %q", said)
	}
}

// TestWarnsOfWhatIsTakenBack: a cancel that failed halfway can be made again.
func TestWarnsOfWhatIsTakenBack(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	s.interruptAt("SELECT count(*) FROM sqlite_schema WHERE name = 't_new'")
	takebacks := s.value("SELECT takebacks FROM _async_migration_jobs")
	s.exec(`UPDATE _async_migration_jobs SET takebacks = '[{"step":"shadow","statements":["DROP TABLE nowhere"]}]'`)
	if err := s.engine(nil).Cancel(context.Background(), "reshape", "test"); err == nil {
		t.Fatal("nothing to drop, and no error")
	}
	s.wantOneWarning("phase=reverting", "made_by=shadow", "start or cancel it")

	s.exec("UPDATE _async_migration_jobs SET takebacks = '" + strings.ReplaceAll(takebacks, "'", "''") + "'")
	if err := s.engine(nil).Cancel(context.Background(), "reshape", "test"); err != nil {
		t.Fatal(err)
	}
	s.wantAsBefore()
	s.wantNoWarning("the job is cancelled")
}

// TestWarningFailsNothing: New waits for no lock to look for jobs, and what it cannot read
// is no reason to refuse the database. Planted and caught: the look inside a hold; its error
// returned.
func TestWarningFailsNothing(t *testing.T) {
	dir := t.TempDir()
	s := openSubject(t, dir)
	s.fill()
	s.interruptAt("SELECT count(*) FROM sqlite_schema WHERE name = 't_new'")

	other, err := sql.Open("sqlite", lite.DSN(filepath.Join(dir, "app.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE; UPDATE t SET v = v WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	s.wantOneWarning("made_by=shadow")
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}

	for _, damage := range []string{"UPDATE _async_migration_jobs SET steps = 'x'", "UPDATE _async_migration_schema SET version = 99",
		"DROP TABLE _async_migration_schema"} {
		s.exec(damage)
		s.wantNoWarning(damage)
	}
}
