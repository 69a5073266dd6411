package jobfile

import (
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// TestReadReshape: a rebuild and an index of a file are the jobs that the commands make, and what a
// key does not go with is refused by name. Planted and caught: hold_swap left out of an index.
func TestReadReshape(t *testing.T) {
	f, err := Read(write(t, `
[[job]]
name = "shape"
table = "t"
schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"
set = { n = "CAST(n AS INTEGER)" }
keep_old = true
swap_window = "02:00-04:00 UTC"
[[job]]
index = "CREATE INDEX t_n ON t (n)"
twin = true
hold_swap = true
`))
	if err != nil {
		t.Fatal(err)
	}
	shape, ok := f.Jobs[0].Job.(jobs.Rebuild)
	if !ok || shape.Name != "shape" || shape.Table != "t" || len(shape.Set) != 1 || !shape.KeepOld || shape.SwapWindow == "" || shape.HoldSwap {
		t.Errorf("the rebuild is %#v", f.Jobs[0].Job)
	}
	index, ok := f.Jobs[1].Job.(jobs.Index)
	if !ok || index.Name != "t_n" || index.Table != "t" || !index.Twin || !index.HoldSwap || index.SwapWindow != "" {
		t.Errorf("the index is %#v", f.Jobs[1].Job)
	}

	for keys, want := range map[string]string{
		"index = \"CREATE INDEX i ON t (n)\"\ntable = \"u\"":                             "the index is one of t, and table says u",
		"index = \"CREATE INDEX i ON t (n)\"\ndelete = true":                             "goes without where, todo, delete",
		"name = \"x\"\ntable = \"t\"\nschema = \"CREATE TABLE t (id)\"\ntwin = true":     "twin is for an index",
		"name = \"x\"\ntable = \"t\"\nschema = \"CREATE TABLE t (id)\"\nversion = \"2\"": "goes without where, todo, delete, version",
	} {
		if _, err := Read(write(t, "[[job]]\n"+keys)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", keys, err, want)
		}
	}
}
