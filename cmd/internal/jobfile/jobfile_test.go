package jobfile

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jobs.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const sample = `
db = "data/app.db"
target_hold = "1ms"
max_rate = 5

[[job]]
name = "first"
table = "t"
where = "n IS NULL"
todo = "n IS NULL"
version = "2"
target_hold = "2ms"
  [job.set]
  n = "1"
  "a b" = " 2 "

[[job]]
name = "second"
table = "t"
set = ["n = n = 1", '"a b" = 2']
window = "00:00-24:00 UTC"
sole_process = true
foreign_keys = false

[[job]]
name = "third"
table = "t"
delete = true
keep_before = true
`

// TestRead: a job is that which flags of the same values describe, but for the order of a
// table, and settings of a job win over those for all. Planted and caught: settings for all
// over those of a job; columns in the order of a Go map.
func TestRead(t *testing.T) {
	path := write(t, sample)
	for range 10 { // a map has another order each time
		f, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(filepath.Dir(path), "data/app.db"); f.DB != want || len(f.Jobs) != 3 {
			t.Fatalf("db %s, %d jobs", f.DB, len(f.Jobs))
		}
		for i, want := range []jobs.Spec{
			{Kind: jobs.KindUpdate, Set: []jobs.Assign{{Column: "a b", Expr: "2"}, {Column: "n", Expr: "1"}}},
			{Kind: jobs.KindUpdate, Set: []jobs.Assign{{Column: "n", Expr: "n = 1"}, {Column: "a b", Expr: "2"}}},
			{Kind: jobs.KindDelete},
		} {
			got := f.Jobs[i].Spec()
			if got.Kind != want.Kind || len(got.Set) != len(want.Set) {
				t.Fatalf("job %d is %+v", i, got)
			}
			for j := range want.Set {
				if got.Set[j] != want.Set[j] {
					t.Errorf("job %d sets %+v, want %+v", i, got.Set, want.Set)
				}
			}
		}
		first, second := f.Jobs[0], f.Jobs[1]
		if first.Hold != 2*time.Millisecond || second.Hold != time.Millisecond || *first.MaxRate != 5 || first.Spec().Version != "2" {
			t.Errorf("holds %v and %v, rate %v", first.Hold, second.Hold, *first.MaxRate)
		}
		if first.Spec().KeepBefore || !f.Jobs[2].Spec().KeepBefore {
			t.Error("keep_before is not that of the third job alone")
		}
		if *second.ForeignKeys || !*second.SoleProcess || first.SoleProcess != nil {
			t.Errorf("settings %+v", second.Settings)
		}
		if got := second.At("window"); got != path+":21" || second.At("target_hold") != path+":3" || second.At("min_free") != path+":17" {
			t.Errorf("window at %s, target_hold at %s, min_free at %s", got, second.At("target_hold"), second.At("min_free"))
		}
	}
}

// FuzzRead: whatever is in a file, reading it returns, and an error names a line.
func FuzzRead(f *testing.F) {
	for _, text := range []string{sample, "", "job = [{ name = 1 }]", "[job.set]\n[[job]]", "a.b.c = 1\n[[job.x]]", "job = 3", "[[job]]\nset.a.b = 1", "\"\" = 1",
		"[[job]]\nname='x'\ntable='t'\nset = [[1]]", "[[job]]\nname=\"\"\"\nx\"\"\"\ntable='t'\nset = { a = {} }", "target_hold = 2024-01-01", "[[", "\xff"} {
		f.Add(text)
	}
	lined := regexp.MustCompile(`jobs\.toml(:[1-9]\d*)?: `)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parse("jobs.toml", []byte(text)); err != nil && !lined.MatchString(err.Error()) {
			t.Errorf("%v", err)
		}
	})
}
