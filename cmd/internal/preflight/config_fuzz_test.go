package preflight_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// FuzzConfig: a configuration is refused by an error that names its file, or it can
// be judged with. Planted and caught: patterns not looked at, which then match
// nothing in silence.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{"", "async = [\"later\"]", "exclude = [\"[\"]", "exclude = [\"gen/*\", \"vendor\"]", "disable = [\"PF101\"]",
		"disable = [\"PF9\"]", "[keys]\nt = [\"a,b\"]\n", "asinc = []", "async = 3", "exclude = [\"\\\\\"]", "\x00", "[keys]\n\"\" = [\"\"]\n"} {
		f.Add(text)
	}
	source := []preflight.Source{{Path: "a/b.sql", Text: []byte("UPDATE t SET a = 1 WHERE b = 2;\nCREATE INDEX i ON t (a);\n")}}
	name := filepath.Join(f.TempDir(), preflight.ConfigName)
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := preflight.ReadConfig(name)
		if err != nil {
			if !errors.Is(err, preflight.ErrConfig) || !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		c.Excludes("a/b.sql")
		if _, err := preflight.Check(t.Context(), preflight.Input{Config: c, Sources: source}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
