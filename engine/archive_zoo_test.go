package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// archiveZoo are tables of all kinds, each with values that are easily changed on their way.
var archiveZoo = []struct{ name, create, insert, columns string }{
	{"rowid", "CREATE TABLE t (id INTEGER PRIMARY KEY, a, r REAL, n INTEGER, d DATETIME, b BOOLEAN)",
		`INSERT INTO t (a, r, n, d, b) VALUES (x'', 1, '007', '2024-01-02 03:04:05', 'true'), (NULL, 9e999, 1e3, 5, 1), (-0.0, -0.0, 'x', '', 0),
			('a' || char(0) || 'b', -9e999, x'00', CAST(x'fffe' AS TEXT), ''), ('', 9007199254740993, 1.5, '2024-01-02', NULL), (x'ff00', 3, 4, 5.0, 6.5)`, "id, a, r, n, d, b"},
	{"without rowid", "CREATE TABLE t (k TEXT, n, v, PRIMARY KEY (k DESC, n)) WITHOUT ROWID",
		`INSERT INTO t VALUES ('a', 1, x''), ('a', 1.5, NULL), ('a', 'x', -0.0), ('b', x'00', 'v'), (CAST(x'61ff' AS TEXT), 1, 9e999), ('', '', '')`, "k, n, v"},
	{"text key", "CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, v)",
		`INSERT INTO t VALUES ('a', 1), ('B', x''), ('c' || char(0) || 'd', 2), ('', NULL), ('é', 3)`, "k, v"},
	{"blob key", "CREATE TABLE t (k BLOB NOT NULL UNIQUE, v)", `INSERT INTO t VALUES (x'', 1), (x'00', 2), (x'ff', x''), ('text', 3), (5, 4), (5.5, 5)`, "k, v"},
	{"integer key that is none", "CREATE TABLE t (k INTEGER PRIMARY KEY DESC NOT NULL, v)", `INSERT INTO t VALUES ('x', 1), (2, 2), (x'05', 3)`, "k, v"},
	{"strict", "CREATE TABLE t (id INTEGER PRIMARY KEY, a ANY, b BLOB, r REAL) STRICT", `INSERT INTO t VALUES (1, '007', x'', 5), (2, 7, NULL, -0.0)`, "id, a, b, r"},
	{"generated", `CREATE TABLE t (id INTEGER PRIMARY KEY, "a b" TEXT, g TEXT GENERATED ALWAYS AS (upper("a b")), s INTEGER GENERATED ALWAYS AS (length("a b")) STORED)`,
		`INSERT INTO t ("a b") VALUES ('x'), (NULL), ('yy')`, `id, "a b", g, s`},
	{"constraints", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT UNIQUE NOT NULL DEFAULT 'd', c CHECK (c > 0))", `INSERT INTO t (u, c) VALUES ('a', 1), ('b', 2)`, "id, u, c"},
	{"odd types", `CREATE TABLE t (id INTEGER PRIMARY KEY, a "my, type", "b)" , c [x)y], d VARCHAR(10,5), "e""f" "GENERATED", "g" "CHECK", h DOUBLE PRECISION, i "a""b")`,
		"INSERT INTO t VALUES (1, 2, '3', 4, '5', '6', '7', 8, '9'), (2, '1', x'', 'x', 1, 2.5, NULL, '1e3', 1)", `id, a, "b)", c, d, "e""f", "g", h, i`},
	{"names like ours", `CREATE TABLE t (a INTEGER PRIMARY KEY, rowid, _rowid_, oid, "_chunkfill_hash", "_chunkfill_0", "x?", "order", main, old)`,
		"INSERT INTO t VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (2, x'00', NULL, '', -0.0, 1.0, '1', 1, 2, 3)", `a, rowid, _rowid_, oid, "_chunkfill_hash", "_chunkfill_0", "x?", "order", main, old`},
}

// TestArchiveKeepsValues by type and bytes, on tables of all kinds, into another file and into another
// table of the same.
func TestArchiveKeepsValues(t *testing.T) {
	for _, z := range archiveZoo {
		for _, beside := range []bool{false, true} {
			name := z.name
			if beside {
				name += ", same file"
			}
			t.Run(name, func(t *testing.T) {
				s := &shelf{openSubject(t, t.TempDir()), strings.TrimSpace(z.columns)}
				s.exec(z.create)
				s.exec(z.insert)
				s.exec("CREATE TABLE was AS SELECT " + s.listed("t") + " AS row FROM t")
				job := jobs.Archive{Name: "a", Table: "t", File: s.archive}
				from := "old.t"
				if beside {
					job.File, job.Into, from = "", "t_old", "t_old"
				}
				if _, err := s.engine(nil).Run(context.Background(), job); err != nil {
					t.Fatal(err)
				}
				s.attach()
				s.want("0", "SELECT count(*) FROM main.t")
				is := s.value("SELECT group_concat(row, x'0a') FROM (SELECT " + s.listed("o") + " AS row FROM " + from + " AS o ORDER BY row)")
				if was := s.value("SELECT group_concat(row, x'0a') FROM (SELECT row FROM was ORDER BY row)"); is != was {
					t.Errorf("archived\n%s\nwas\n%s", is, was)
				}
			})
		}
	}
}

// listed is a row in one text, by type and bytes; the digest tells the zeros apart.
func (s *shelf) listed(of string) string {
	var terms []string
	for _, c := range strings.Split(s.columns, ", ") {
		terms = append(terms, "typeof("+of+"."+c+") || ' ' || hex(CAST("+of+"."+c+" AS BLOB)) || hex("+rowfunc.Hash([]string{of + "." + c})+")")
	}
	return strings.Join(terms, " || ', ' || ")
}

// TestArchiveKnowsItsArchive: one that is missing, new, another or older, and a database that is older,
// stop the job and say so; with the right one it goes on.
func TestArchiveKnowsItsArchive(t *testing.T) {
	dir := t.TempDir()
	s := openShelf(t, dir)
	s.fill()
	begin, cancel := context.WithCancel(context.Background())
	defer cancel()
	batches := 0
	e := s.engine(func(h Hold) {
		if batches++; h.Kind == HoldBatch && batches > 4 {
			cancel()
		}
	})
	if _, err := e.Run(begin, s.archiving()); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}

	kept := fileBytes(t, s.archive)
	other := filepath.Join(dir, "other.db")
	o := openShelf(t, t.TempDir())
	o.fill()
	second := o.archiving()
	second.File = other
	if _, err := o.engine(nil).Run(context.Background(), second); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file []byte // nil: none
		want string
	}{
		{"missing", nil, "is missing"},
		{"new", []byte{}, "is not the archive that the job began with"},
		{"another", fileBytes(t, other), "is not the archive that the job began with"},
	} {
		s.loseArchive()
		if c.file != nil {
			if err := os.WriteFile(s.archive, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.engine(nil).Run(context.Background(), s.archiving())
		if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	if err := os.WriteFile(s.archive, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, statement := range map[string]string{
		"is older than what the database says":                 "UPDATE old._chunkfill_archive_notes SET n = n - 1; UPDATE old._chunkfill_archive_jobs SET settled = settled - 1",
		"holds rows that the database does not say were moved": "UPDATE old._chunkfill_archive_jobs SET settled = settled + 1000",
	} {
		s.attach()
		s.exec("DELETE FROM old._chunkfill_archive_notes WHERE n > (SELECT sum(rows_changed) FROM _async_migration_ranges)")
		s.exec(statement)
		s.exec("DETACH old")
		if _, err := s.engine(nil).Run(context.Background(), s.archiving()); !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.WriteFile(s.archive, kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.engine(nil).Run(context.Background(), s.archiving()); err != nil {
		t.Fatal(err)
	}
	s.wantShelved()
}

func fileBytes(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// loseArchive removes the archive and all that is beside it.
func (s *shelf) loseArchive() {
	s.t.Helper()
	for _, name := range []string{s.archive, s.archive + "-wal", s.archive + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
}
