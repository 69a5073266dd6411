package lite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// TestNames: which words of an expression can be names of columns.
func TestNames(t *testing.T) {
	for fragment, want := range map[string]string{
		"lower(raw_hex) || ' raw'":                              "raw_hex",
		`"a ""b""" + [c d] - ` + "`e``f`":                       `a "b" c d e` + "`f",
		"n -- m\n + o /* p */ + 'q ''r'' s'":                    "n o",
		"CASE WHEN x IN (1, 2) THEN NULL END":                   "x",
		"t.N + main . t . Ünï + \u212a":                         "main n t \u212a Ünï",
		"count (x) OVER (ORDER BY y)":                           "x y",
		"'unclosed":                                             "",
		`"unclosed`:                                             "unclosed",
		"/* unclosed":                                           "",
		"x'00ff' || $a1 || :b || json_extract(\"null\", '$.z')": "null x",
	} {
		got := strings.Join(lite.SortedKeys(lite.Names(fragment)), " ")
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		sorted := strings.Fields(got)
		slices.Sort(sorted)
		if !slices.Equal(sorted, wanted) {
			t.Errorf("%s: %q, want %q", fragment, got, want)
		}
	}
}

// TestReadsClock: what goes on changing while nothing is written.
func TestReadsClock(t *testing.T) {
	for fragment, want := range map[string]bool{
		"ts < strftime('%s', 'now') - 500": true, "ts < unixepoch('subsec') - 30": true, "ts < unixepoch() - 30": true, "at < CURRENT_TIMESTAMP": true,
		"at < datetime( )": true, "julianday() - at > 3": true, "at < strftime('%s')": true, "at < date('NOW', '-1 day')": true,
		"ts < 500": false, "unixepoch(at) < 3": false, "date(at) = '2024-01-01'": false, "snow = 'never'": false, "update_time < 3": false,
	} {
		if got := lite.ReadsClock(fragment); got != want {
			t.Errorf("%s: %t, want %t", fragment, got, want)
		}
	}
}
