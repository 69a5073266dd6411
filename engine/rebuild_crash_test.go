//go:build chunkfill_failpoints

package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/chunkfill/chunkfill/jobs"
)

// strideOf is at every how many-th instant a play is killed. Those that go forth through a rebuild have
// some hundred; all of them are for `CHUNKFILL_TEST_EVERY=1`.
func strideOf(play string) int {
	if !strings.HasSuffix(play, ", forth") || play == "forth" {
		return 1
	}
	if n, err := strconv.Atoi(os.Getenv("CHUNKFILL_TEST_EVERY")); err == nil && n > 0 {
		return n
	}
	return 7
}

// surround puts around the table what an application may have: triggers, a view, an index, foreign keys out
// and in, and numbers that were given out.
func (s *subject) surround() {
	s.exec(`ALTER TABLE t ADD COLUMN p INTEGER NOT NULL DEFAULT 1 REFERENCES p (id); CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);
		CREATE INDEX t_v ON t (v COLLATE NOCASE DESC); CREATE VIEW tv AS SELECT id FROM t; CREATE TABLE gone (id INTEGER PRIMARY KEY);
		CREATE TABLE c (t INTEGER REFERENCES t (id) ON DELETE CASCADE); INSERT INTO c SELECT id FROM t;
		CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO c VALUES (NEW.id); END;
		CREATE TRIGGER t_ad AFTER DELETE ON t BEGIN INSERT INTO gone VALUES (OLD.id); DELETE FROM c WHERE t = OLD.id; END; ANALYZE`)
}

// around rebuilds that table, and keeps the old one.
func (s *subject) around() jobs.Job {
	return jobs.Rebuild{Name: "reshape", Table: "t", KeepOld: true, Schema: "CREATE TABLE t (p INTEGER NOT NULL DEFAULT 1 REFERENCES p (id), id INTEGER PRIMARY KEY, v INTEGER NOT NULL)",
		Set: []jobs.Assign{{Column: "v", Expr: "CAST(v AS INTEGER)"}}}
}

func (s *subject) twin() jobs.Job {
	return jobs.Index{Name: "reshape", Table: "t", Create: "CREATE INDEX t_v ON t (v DESC)", Twin: true}
}

// wantSound: the rows, each with its children, and no file or foreign key that is broken.
func (s *subject) wantSound(typeOf, ours string) {
	s.t.Helper()
	s.want(typeOf, "SELECT DISTINCT typeof(v) FROM t")
	s.wantTruth()
	s.want(ours, "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE name GLOB '_chunkfill*' ORDER BY name)")
	s.want("ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
	s.want("0", "SELECT count(*) FROM pragma_foreign_key_check")
}

// wantAround: what stands around the table is there, and has done its work once for each row.
func (s *subject) wantAround() {
	s.t.Helper()
	s.want("t_ad t_ai t_v tv", "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE name GLOB 't[_v]*' ORDER BY name)")
	s.want("0", "SELECT count(*) FROM (SELECT id FROM t EXCEPT SELECT t FROM c)")
	s.want(s.value("SELECT count(*) FROM t"), "SELECT count(*) FROM c")
	s.want("0", fmt.Sprintf("SELECT count(*) FROM gone WHERE id IN (SELECT id FROM t) OR id > %d", 2*reshapeRows))
	s.want(s.value("SELECT count(*) FROM t"), "SELECT count(*) FROM tv")
	s.exec("BEGIN; DELETE FROM t WHERE id = (SELECT max(id) FROM t)")
	s.want(s.value("SELECT count(*) FROM t"), "SELECT count(*) FROM c")
	s.exec("ROLLBACK")
}

func (s *subject) wantAroundNew() {
	s.t.Helper()
	s.want("done", "SELECT phase FROM _async_migration_jobs")
	s.wantSound("integer", "_chunkfill_old_t _chunkfill_old_t_v")
	s.wantAround()
}

func (s *subject) wantAroundOld() {
	s.t.Helper()
	s.want("cancelled", "SELECT phase FROM _async_migration_jobs")
	s.wantSound("text", "")
	s.wantAround()
}

func (s *subject) wantTwin() {
	s.t.Helper()
	s.want("done", "SELECT phase FROM _async_migration_jobs")
	s.want("t_v", "SELECT name FROM pragma_index_list('t')")
	s.wantSound("text", "")
}

func (s *subject) wantNoTwin() {
	s.t.Helper()
	s.want("cancelled", "SELECT phase FROM _async_migration_jobs")
	s.want("0", "SELECT count(*) FROM pragma_index_list('t')")
	s.wantSound("text", "")
}
