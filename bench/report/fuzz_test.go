package report

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/bench"
)

// FuzzResults: a results file that is damaged is refused by an error that names it,
// or it can be reported and compared.
func FuzzResults(f *testing.F) {
	r := sample()
	r.Trials = r.Trials[len(r.Trials)-2:] // a fuzzer is slow on long texts
	whole, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole))
	f.Add(string(whole[:len(whole)/2]))
	for _, text := range []string{"", "null", "[]", `{"format":1}`, `{"format":2}`, `{"format":1,"trials":[{}]}`, `{"format":1,"config":{"sizes":[-1]}}`,
		`{"format":1,"trials":[{"contender":"update","rows":-1,"total_ns":-1,"complete":true}]}`} {
		f.Add(text)
	}
	for _, change := range [][2]string{{`"total_ns":`, `"total_ns":-`}, {`"rows":`, `"rows":0`}, {"[", "[null,"}, {"1", "1e9"}, {":{", ":null,\"x\":{"}} {
		f.Add(strings.ReplaceAll(string(whole), change[0], change[1]))
	}
	name := filepath.Join(f.TempDir(), "results.json")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := bench.ReadResults(name)
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if err := WriteMarkdown(io.Discard, r); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err := WriteHTML(io.Discard, r); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err := bench.Compare(r, r).WriteText(io.Discard); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
