package preflight_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

func TestConfigErrorsNameTheField(t *testing.T) {
	for text, want := range map[string]string{
		"asynch = ['X']":         "asynch",
		"async = ['X()']":        "async",
		"async = ['']":           "async",
		"exclude = ['[']":        "exclude",
		"exclude = 'vendor'":     "exclude",
		"disable = ['PF201']":    "disable",
		"disable = ['PF999']":    "preflight rules",
		"[keys]\nt = 'a, b'":     "keys",
		"async = ['X'":           "line 1",
		"async = ['X']\nasync=1": "async",
	} {
		name := filepath.Join(t.TempDir(), preflight.ConfigName)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := preflight.ReadConfig(name); !errors.Is(err, preflight.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want something about %s", text, err, want)
		}
	}
}

func TestConfigIsFoundAboveUpToTheRepository(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "repo", "a", "b")
	above := filepath.Join(dir, preflight.ConfigName)
	err := errors.Join(os.MkdirAll(deep, 0o755), os.MkdirAll(filepath.Join(dir, "repo", ".git"), 0o755), os.WriteFile(above, nil, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	if name, err := preflight.FindConfig(deep); name != "" || err != nil {
		t.Errorf("%q, %v: that is of another project", name, err)
	}
	within := filepath.Join(dir, "repo", "a", preflight.ConfigName)
	if err := os.WriteFile(within, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if name, err := preflight.FindConfig(deep); name != within || err != nil {
		t.Errorf("%q, %v; want %q", name, err, within)
	}
}

func TestExclude(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		path     string
		want     bool
	}{
		{nil, "a/b_test.go", true}, {nil, "vendor/x/a.go", true}, {nil, "a/testdata/m.sql", true}, {nil, "a/vendors/a.go", false},
		{[]string{}, "b_test.go", false},
		{[]string{"gen"}, "a/gen/b.go", true}, {[]string{"/gen/x/"}, "gen/x/y/b.go", true}, {[]string{"gen/x"}, "a/gen/x/b.go", false},
		{[]string{"gen/*.sql"}, "gen/a.sql", true}, {[]string{"gen/*.sql"}, "gen/b/a.sql", false},
	} {
		if got := (preflight.Config{Exclude: c.patterns}).Excludes(c.path); got != c.want {
			t.Errorf("%v %s: %v", c.patterns, c.path, got)
		}
	}
}

// Every rule can be looked up both ways and says what to do.
func TestRules(t *testing.T) {
	for _, r := range preflight.Rules() {
		byCode, ok := preflight.FindRule(strings.ToLower(r.Code))
		byName, okName := preflight.FindRule(r.Name)
		if !ok || !okName || byCode != r || byName != r || r.What == "" || r.Why == "" || r.Fix == "" {
			t.Errorf("%+v", r)
		}
	}
}
