package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchiveQuarantine: a row that was copied and cannot be deleted, amid others that can, stays in the database alone, and no
// other loses its copy for it; mended, it is moved by a retry, also after the job is done.
//
// Found: the copies of rows that were gone were taken out again, as many as had gone into quarantine before them. Planted and
// caught: the rest of a chunk not copied again after a row of it has gone into quarantine; the run of a job that is done not
// found; its notes left in the archive.
func TestArchiveQuarantine(t *testing.T) {
	for name, c := range map[string]struct{ hinder, mend string }{
		"foreign key":          {"CREATE TABLE c (t INTEGER REFERENCES t); INSERT INTO c VALUES (50), (51), (120), (200)", "DELETE FROM c"},
		"deferred foreign key": {"CREATE TABLE c (t INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (50), (51), (120), (200)", "DELETE FROM c"},
		"trigger that fails":   {"CREATE TRIGGER k BEFORE DELETE ON t WHEN OLD.id IN (50, 51, 120, 200) BEGIN SELECT RAISE(ABORT, 'no'); END", "DROP TRIGGER k"},
		"trigger that keeps":   {"CREATE TRIGGER k BEFORE DELETE ON t WHEN OLD.id IN (50, 51, 120, 200) BEGIN SELECT RAISE(IGNORE); END", "DROP TRIGGER k"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShelf(t, t.TempDir())
			s.fill()
			s.exec("PRAGMA foreign_keys = 1; " + c.hinder)
			result, err := s.engine(nil).Run(context.Background(), s.archiving())
			if err != nil || result.Quarantined != 4 {
				t.Fatalf("%v, %d in quarantine", err, result.Quarantined)
			}
			s.wantShelved()
			s.want("50 51 120 200", "SELECT group_concat(id, ' ') FROM t WHERE id <= 250")

			s.exec(c.mend)
			if result, err = s.engine(nil).Retry(context.Background(), s.archiving()); err != nil || result.Quarantined != 0 {
				t.Fatalf("%v, %d in quarantine", err, result.Quarantined)
			}
			s.wantShelved()
			s.want("0", "SELECT count(*) FROM t WHERE id <= 250")
			s.attach()
			s.want("0", "SELECT count(*) FROM old._chunkfill_archive_notes")
		})
	}
}

// TestArchiveBesideTriggers that change rows which are about to be moved: they are copied again, and the job ends.
func TestArchiveBesideTriggers(t *testing.T) {
	s := openShelf(t, t.TempDir())
	s.fill()
	s.exec("CREATE TRIGGER next AFTER DELETE ON t BEGIN UPDATE t SET v = v || '.' WHERE id = OLD.id + 1; END;" +
		"CREATE TRIGGER follow AFTER UPDATE ON t BEGIN UPDATE truth SET v = NEW.v WHERE id = NEW.id; END")
	if _, err := s.engine(nil).Run(context.Background(), s.archiving()); err != nil {
		t.Fatal(err)
	}
	s.want("0", "SELECT count(*) FROM t WHERE id <= 250")
	s.attach()
	s.want("0", "SELECT count(*) FROM truth WHERE id NOT IN (SELECT id FROM t UNION ALL SELECT id FROM old.t)")
}

// TestArchiveLooksFirst: what cannot be an archive is refused before anything is recorded.
func TestArchiveLooksFirst(t *testing.T) {
	for name, c := range map[string]struct {
		file string // its content, or ""
		sql  string // that makes it
		to   string // its name, or ""
		want error
	}{
		"no database":   {file: strings.Repeat("this is no database; ", 100), want: ErrSpec},
		"stop file":     {to: "app.db-chunkfill-stop", want: ErrSpec},
		"other columns": {sql: "CREATE TABLE old.t (id INTEGER PRIMARY KEY, w)", want: ErrArchive},
		"other types":   {sql: "CREATE TABLE old.t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)", want: ErrArchive},
		"no key":        {sql: "CREATE TABLE old.t (id INTEGER, v TEXT)", want: ErrArchive},
		"triggers":      {sql: "CREATE TABLE old.t (id INTEGER PRIMARY KEY, v TEXT); CREATE TRIGGER old.r AFTER INSERT ON t BEGIN DELETE FROM t; END", want: ErrArchive},
		"a view":        {sql: "CREATE TABLE old.x (id INTEGER PRIMARY KEY, v TEXT); CREATE VIEW old.t AS SELECT * FROM x", want: ErrArchive},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openShelf(t, dir)
			s.fill()
			job := s.archiving()
			if c.to != "" {
				job.File = filepath.Join(dir, c.to)
			}
			if c.file != "" {
				if err := os.WriteFile(job.File, []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.sql != "" {
				s.attach()
				s.exec(c.sql)
				s.exec("DETACH old")
			}
			_, err := s.engine(nil).Run(context.Background(), job)
			if !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			t.Log(err)
			s.want("0", "SELECT count(*) FROM sqlite_schema WHERE name = '_async_migration_jobs'")
		})
	}
}

// TestArchiveOfTwo databases at the same time, one of whose files has another journal mode.
func TestArchiveOfTwo(t *testing.T) {
	one, two := openShelf(t, t.TempDir()), openShelf(t, t.TempDir())
	one.fill()
	two.fill()
	two.exec("UPDATE t SET id = id + 1000; UPDATE truth SET id = id + 1000")
	two.archive = one.archive
	two.attach()
	two.exec("PRAGMA old.journal_mode = delete; CREATE TABLE old.t (v TEXT, id INTEGER PRIMARY KEY); DETACH old")
	second := two.archiving()
	second.Where = "id <= 1250"
	ended := make(chan error, 1)
	e := two.engine(nil)
	go func() {
		_, err := e.Run(context.Background(), second)
		ended <- err
	}()
	if _, err := one.engine(nil).Run(context.Background(), one.archiving()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	one.attach()
	one.want("250 1 250, 250 1001 1250", "SELECT group_concat(n || ' ' || a || ' ' || b, ', ') FROM (SELECT count(*) n, min(id) a, max(id) b FROM old.t GROUP BY id > 1000)")
	one.want("0", "SELECT count(*) FROM t WHERE id <= 250")
	two.want("0", "SELECT count(*) FROM t WHERE id <= 1250")
}

// TestArchiveEnforcedLater: foreign keys that the connection enforces only once the job runs are seen. Planted and caught: it is
// looked at once.
func TestArchiveEnforcedLater(t *testing.T) {
	s := openShelf(t, t.TempDir())
	s.fill()
	s.exec("CREATE TABLE c (t INTEGER REFERENCES t ON DELETE CASCADE); INSERT INTO c SELECT id FROM t")
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			s.exec("PRAGMA foreign_keys = 1")
		}
	})
	result, err := e.Run(context.Background(), s.archiving())
	if !errors.Is(err, ErrTableChanged) {
		t.Errorf("%v", err)
	}
	s.want("300", "SELECT count(*) FROM c")
	if result.Changed == 0 || result.Changed >= 250 {
		t.Errorf("%d rows were moved", result.Changed)
	}
}

// TestArchiveMovedAmid: an archive that is moved, or removed, amid the job ends it before the next row is deleted, though its copy was made
// there. Planted and caught: looked at only when rows are copied.
func TestArchiveMovedAmid(t *testing.T) {
	s := openShelf(t, t.TempDir())
	s.fill()
	left := ""
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch && left == "" {
			left = s.value("SELECT count(*) FROM t")
			if err := os.Rename(s.archive, s.archive+".away"); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := e.Run(context.Background(), s.archiving())
	if !errors.Is(err, ErrArchive) || errors.Is(err, ErrMoved) {
		t.Errorf("%v", err)
	}
	if s.want(left, "SELECT count(*) FROM t"); left == "50" {
		t.Error("all was moved at once")
	}
	if err := os.Rename(s.archive+".away", s.archive); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine(nil).Run(context.Background(), s.archiving()); err != nil {
		t.Fatal(err)
	}
	s.wantShelved()
}
