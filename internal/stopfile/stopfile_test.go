package stopfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/stopfile"
)

// TestLook: the file stands whatever is in it, and its first line is the reason. Planted and
// caught: no bound of the line; bytes that are no text passed on; an empty file that does not
// stand.
func TestLook(t *testing.T) {
	database := filepath.Join(t.TempDir(), "app.db")
	name := stopfile.Name(database)
	if why, stands := stopfile.Look(database); stands || why != "" {
		t.Errorf("without a file: %q, %t", why, stands)
	}

	for content, want := range map[string]string{
		"":                              name,
		"\n":                            name,
		"moving the disk\nand more\n":   name + ": moving the disk",
		"  moving the disk \r\n":        name + ": moving the disk",
		"a\x00b\xffc":                   name + ": abc",
		strings.Repeat("long ", 10_000): name + ": " + strings.TrimSpace(strings.Repeat("long ", 40)),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if why, stands := stopfile.Look(database); !stands || why != want {
			t.Errorf("%.20q: %q, %t; want %q", content, why, stands, want)
		}
	}

	// A folder of that name stands as well.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if why, stands := stopfile.Look(database); !stands || why != name {
		t.Errorf("a folder: %q, %t", why, stands)
	}
}

// TestWatch: a watch sees what Look does; a database in memory has no file. Planted and
// caught: a watch that looks once.
func TestWatch(t *testing.T) {
	database := filepath.Join(t.TempDir(), "app.db")
	watch := stopfile.NewWatch(database)
	if why, stands := watch.Stands(); stands {
		t.Errorf("without a file: %q", why)
	}
	if err := os.WriteFile(stopfile.Name(database), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	seen := func(want bool) {
		t.Helper()
		stands := !want
		for began := time.Now(); stands != want && time.Since(began) < 10*time.Second; {
			_, stands = watch.Stands()
		}
		if stands != want {
			t.Errorf("it stands: %t, want %t", stands, want)
		}
	}
	seen(true)
	if err := os.Remove(stopfile.Name(database)); err != nil {
		t.Fatal(err)
	}
	seen(false)

	memory := stopfile.NewWatch("")
	if why, stands := memory.Stands(); stands {
		t.Errorf("in memory: %q", why)
	}
}
