package engine_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// TestLogOfEachSQLite: with every version of SQLite the log stays short while a job works
// in a host that has switched SQLite's own checkpoints off, and New says where the
// host's connection has to do it. Planted and caught with the oldest version: a
// log whose file tells all, and one that only its readers are asked about.
func TestLogOfEachSQLite(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, filler BLOB)",
		"INSERT INTO t (filler) WITH c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 60000) SELECT zeroblob(600) FROM c",
		"PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_autocheckpoint = 0")
	db.SetMaxOpenConns(1)
	var said bytes.Buffer
	e, err := engine.New(db, engine.Config{SoleProcess: true, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	version := lite.ParseVersion(value(t, db, "SELECT sqlite_version()"))
	if warned := strings.Contains(said.String(), "may lose a commit"); warned == version.ResetsSafely() {
		t.Errorf("SQLite %s: New said %q", version, said.String())
	}

	if _, err := e.Run(testContext(t), increment("log")); err != nil {
		t.Fatal(err)
	}

	wantValue(t, db, "60000", "SELECT count(*) FROM t WHERE n = 1")
	const most = 24 << 20 // of about 37 MB that are written
	info, err := os.Stat(value(t, db, "SELECT file FROM pragma_database_list") + "-wal")
	if err != nil || info.Size() > most {
		t.Errorf("SQLite %s: the log has %d bytes, %v, want at most %d", version, info.Size(), err, most)
	}
	wantValue(t, db, "0", "PRAGMA wal_autocheckpoint")
}
