package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

// shelf is a database and its archive. Each row that the application has written and not deleted is
// in truth as it wrote it last.
type shelf struct {
	*subject
	columns string // of both, for a comparison
}

func openShelf(t testing.TB, dir string) *shelf {
	t.Helper()
	return &shelf{openSubject(t, dir), "id, v"}
}

// archived returns what is in one table of the archive, and opens nothing that a run has open.
func (s *shelf) attach() {
	s.t.Helper()
	s.exec("ATTACH '" + s.archive + "' AS old")
}

func (s *shelf) archiving() jobs.Archive {
	return jobs.Archive{Name: "a", Table: "t", Where: "id <= 250", File: s.archive}
}

// live is what the application does amid the job, to rows that it still has: around a key, which
// may be about to be moved, and to one that comes anew.
func (s *shelf) live(around int64) {
	s.exec(fmt.Sprintf(`BEGIN IMMEDIATE;
		INSERT INTO truth SELECT max(id) + 1, 'new' FROM truth;
		INSERT INTO t SELECT id, v FROM truth ORDER BY id DESC LIMIT 1;
		UPDATE t SET v = v || 'x' WHERE id BETWEEN %[1]d AND %[1]d + 2;
		UPDATE truth SET v = t.v FROM t WHERE t.id = truth.id AND t.id BETWEEN %[1]d AND %[1]d + 2;
		DELETE FROM truth WHERE id = %[1]d + 5 AND id IN (SELECT id FROM t);
		DELETE FROM t WHERE id = %[1]d + 5;
		COMMIT`, around))
}

// values is a row by type and bytes.
func (s *shelf) values(of string) string {
	var terms []string
	for _, c := range strings.Split(s.columns, ", ") {
		terms = append(terms, fmt.Sprintf("typeof(%s.%s), hex(CAST(%[1]s.%[2]s AS BLOB))", of, c))
	}
	return "(" + strings.Join(terms, ", ") + ")"
}

// wantShelved: each row of the application is in exactly one of the two, as it was last written, and
// nothing else is.
func (s *shelf) wantShelved() {
	s.t.Helper()
	s.attach()
	s.want("0", "SELECT count(*) FROM old.t AS o JOIN main.t AS m ON m.id IS o.id")
	s.want("0", "SELECT count(*) FROM truth WHERE NOT EXISTS (SELECT 1 FROM main.t AS m WHERE "+s.values("m")+" IS "+s.values("truth")+") AND NOT EXISTS (SELECT 1 FROM old.t AS o WHERE "+s.values("o")+" IS "+s.values("truth")+")")
	s.want("0", "SELECT (SELECT count(*) FROM main.t) + (SELECT count(*) FROM old.t) - (SELECT count(*) FROM truth)")
	s.exec("DETACH old")
}

func seededRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CHUNKFILL_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("CHUNKFILL_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestArchive moves rows into another file while the application writes.
func TestArchive(t *testing.T) {
	s := openShelf(t, t.TempDir())
	s.fill()
	rng := seededRand(t)
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			s.live(rng.Int64N(300))
		}
	})
	if _, err := e.Run(context.Background(), s.archiving()); err != nil {
		t.Fatal(err)
	}
	s.wantShelved()
	s.want("0", "SELECT count(*) FROM t WHERE id <= 250")
	s.want("done", "SELECT status FROM _async_migrations")
}

// TestArchiveRefuses what could lose rows, before anything is made.
func TestArchiveRefuses(t *testing.T) {
	dir := t.TempDir()
	s := openShelf(t, dir)
	s.fill()
	s.exec("PRAGMA foreign_keys = 1; CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES parent ON DELETE SET NULL)")
	own := filepath.Join(dir, "app.db")
	links := map[string]func(string, string) error{"symlink.db": os.Symlink, "hardlink.db": os.Link}
	for name, link := range links {
		if err := link(own, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(wd, own)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	e := s.engine(nil)
	for name, job := range map[string]jobs.Archive{
		"itself":      {Table: "t", File: own},
		"relative":    {Table: "t", File: relative},
		"symlink":     {Table: "t", File: in("symlink.db")},
		"hard link":   {Table: "t", File: in("hardlink.db")},
		"URI":         {Table: "t", File: "file:" + own + "?mode=rwc"},
		"log":         {Table: "t", File: own + "-wal"},
		"folder":      {Table: "t", File: in("nowhere/old.db")},
		"same table":  {Table: "t", Into: "T"},
		"set null":    {Table: "parent", File: in("old.db")},
		"no column":   {Table: "t", Where: "nope = 1", File: in("old.db")},
		"our own":     {Table: "t", Into: "_async_migration_jobs"},
		"other shape": {Table: "t", Into: "child"},
	} {
		job.Name = name
		_, err := e.Run(context.Background(), job)
		if err == nil {
			t.Errorf("%s is not refused", name)
			continue
		}
		t.Logf("%s: %v", name, err)
	}
	s.want("300", "SELECT count(*) FROM t")
	if _, err := os.Stat(in("old.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an archive was made: %v", err)
	}
}
