package dsn

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

// The file that is asked for is the one that is made, whatever its name.
// Planted: the path as it is.
func TestNamesTheVeryFile(t *testing.T) {
	for _, name := range []string{"plain.db", "a b.db", "what?.db", "50%.db", "x#y.db", "ü&ö=1.db", "a+b;c.db"} {
		dir := t.TempDir()
		uri, err := Of(filepath.Join(dir, name), "mode=rwc", "_pragma=user_version(7)")
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", uri)
		if err != nil {
			t.Fatal(err)
		}
		var version int
		if err := db.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil || version != 7 {
			t.Errorf("%s: user_version %d, %v", name, version, err)
		}
		db.Close()
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 || files[0].Name() != name {
			t.Errorf("%s: made %v, %v", name, files, err)
		}
	}
}
