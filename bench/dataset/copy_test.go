package dataset

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A copy is what is copied and nothing of what was there before, and an error names the file.
// Planted and caught: a longer file written over and not cut.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	want := bytes.Repeat([]byte("page"), 5000)
	for name, content := range map[string][]byte{from: want, to: bytes.Repeat(want, 2)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if err := Copy(from, to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}

	missing := filepath.Join(dir, "missing.db")
	var path *fs.PathError
	if err := Copy(missing, to); !errors.As(err, &path) || path.Path != missing {
		t.Errorf("a file that is not there: %v", err)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("then the copy has %d bytes of %d, %v", len(got), len(want), err)
	}
}
