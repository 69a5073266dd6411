package torture

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3/driver"
	_ "github.com/ncruces/go-sqlite3/embed"

	"github.com/chunkfill/chunkfill/engine"
)

// TestHandleOfAnotherDriver: New refuses it before modernc's driver has opened the file,
// and the host goes on. Its version is the last that compiles in seconds; later ones are
// SQLite as Go code.
func TestHandleOfAnotherDriver(t *testing.T) {
	db, err := driver.Open("file:" + filepath.Join(t.TempDir(), "a.db") + "?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	write := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	write("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	if _, err := engine.New(db, engine.Config{SoleProcess: true}); !errors.Is(err, engine.ErrDriver) {
		t.Errorf("%v, want ErrDriver", err)
	}
	write("INSERT INTO t DEFAULT VALUES")
}
