package a

import (
	"database/sql"

	"b"
)

func statements(db *sql.DB) {
	db.Exec("CREATE INDEX i ON t (a)")                          // want `PF101 create-index: CREATE INDEX i ON t \(a\): .*`
	db.Exec("ALTER TABLE t ADD COLUMN b")                       // want `PF102 .*`
	db.Exec("ALTER TABLE t ADD COLUMN b CHECK (b > 0)")         // want `PF103 .*`
	db.Exec("ALTER TABLE t DROP COLUMN b")                      // want `PF104 .*`
	db.Exec("UPDATE t SET a = 1")                               // want `PF105 .*`
	db.Exec("DELETE FROM t WHERE a IS NULL")                    // want `PF106 .*`
	db.Exec("INSERT INTO t SELECT * FROM u")                    // want `PF107 .*`
	db.Exec("CREATE TABLE n AS SELECT * FROM u")                // want `PF108 .*`
	db.Exec("REINDEX")                                          // want `PF109 .*`
	db.Exec("VACUUM")                                           // want `PF110 .*`
	db.Exec("INSERT INTO f (f) VALUES ('rebuild')")             // want `PF111 .*`
	db.Exec(b.Lines())                                          // want `PF302 .*`
	db.Exec("UPDATE t SET a = 1 WHERE id = ?", 1)               // one row
	db.Exec("INSERT INTO t VALUES (1)")                         // one row
	db.Exec("SELECT 1; UPDATE " + "t" + " SET a = 1; SELECT 2") // want `PF105 update: UPDATE t SET a = 1: .*`
}
