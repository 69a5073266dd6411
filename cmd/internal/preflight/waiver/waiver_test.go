package waiver_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/waiver"
)

func TestAnnotations(t *testing.T) {
	const ok = ` PREFLIGHT: async=true reason="one row for each household"`
	for _, c := range []struct {
		comment string
		line    int
		reason  string
		err     error
	}{
		{ok, 0, "one row for each household", nil},
		{"PREFLIGHT: reason=\"one row for each household\" async=true", 0, "one row for each household", nil},
		{" Fill a.\n" + ok + "\n More.", 1, "one row for each household", nil},
		{" PREFLIGHT: async=true reason=\"one row\n for each\n   household\"\n More.", 0, "one row for each household", nil},
		{` PREFLIGHT: async=true reason="a \"small\" table of settings"`, 0, `a "small" table of settings`, nil},
		{` PREFLIGHT: async=true reason="таблица настроек, сорок строк"`, 0, "таблица настроек, сорок строк", nil},
		{"  PREFLIGHT: async=true", -1, "", nil},    // indented: an example
		{"\tPREFLIGHT: async=true", -1, "", nil},    // as in a doc comment's code
		{" See PREFLIGHT: async=true", -1, "", nil}, // in a sentence
		{" PREFLIGHTS async=false", 0, "", waiver.ErrMalformed},
		{" PREFLIGHT is a word", -1, "", nil},
		{" PREFLIGHT:", 0, "", waiver.ErrMalformed},
		{` PREFLIGHT: async=true async=true reason="one row for each household"`, 0, "", waiver.ErrMalformed},
		{` PREFLIGHT: async=true reason=""`, 0, "", waiver.ErrReason},
		{` PREFLIGHT: async=true reason="a b c d e f"`, 0, "", waiver.ErrReason},
		{` PREFLIGHT: async=true reason="uninformative uninformative"`, 0, "", waiver.ErrReason},
	} {
		line, reason, err := waiver.FindAnnotation(strings.Split(c.comment, "\n"))
		if line != c.line || !errors.Is(err, c.err) || err == nil && reason != c.reason {
			t.Errorf("%q: line %d, %q, %v; want %d, %q, %v", c.comment, line, reason, err, c.line, c.reason, c.err)
		}
	}
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		line   string
		budget time.Duration
		rows   int64
	}{
		{"PREFLIGHT-MIGRATION-SCALE: <30s N=80K", 30 * time.Second, 80_000},
		{"PREFLIGHT-MIGRATION-SCALE: <30s N=1.9M, four indexes", 30 * time.Second, 1_900_000},
		{"PREFLIGHT-MIGRATION-SCALE: < 900ms table t, N=2_600_000.", 900 * time.Millisecond, 2_600_000},
		{"* PREFLIGHT-MIGRATION-SCALE:<0.5m  N=7k\r", 30 * time.Second, 7_000},
	} {
		found := waiver.FindScales("x\n" + c.line + "\n")
		if len(found) != 1 || found[0].Err != nil || found[0].Line != 2 || found[0].Budget != c.budget || found[0].Rows != c.rows {
			t.Errorf("%q: %+v", c.line, found)
		}
	}
	for _, line := range []string{
		"PREFLIGHT-MIGRATION-SCALE <30s N=80K", "PREFLIGHT-MIGRATION-SCALE: 30s N=80K", "PREFLIGHT-MIGRATION-SCALE: <31s N=80K",
		"PREFLIGHT-MIGRATION-SCALE: <30s N=80X", "PREFLIGHT-MIGRATION-SCALE: <30s N=-1", "PREFLIGHT-MIGRATION-SCALE: <30s n=80K",
		"PREFLIGHT-MIGRATION-SCALE: <30s N=80 000", "PREFLIGHT-MIGRATION-SCALE: <30s N=80,000 rows", "PREFLIGHT-MIGRATION-SCALE: <30s N=99999999999999999G", "preflight-migration-scale: <30s N=80K",
	} {
		if found := waiver.FindScales(line); len(found) != 1 || !errors.Is(found[0].Err, waiver.ErrMalformed) {
			t.Errorf("%q: %+v", line, found)
		}
	}
}

// What GitHub does not show as text is not said. Planted: fences closed by
// shorter ones, comments that end at the line's end.
func TestHiddenScales(t *testing.T) {
	const line = "PREFLIGHT-MIGRATION-SCALE: <30s N=80K"
	for body, visible := range map[string]bool{
		line:                               true,
		"<!--\n" + line + "\n-->":          false,
		"<!-- a\nb --> \n" + line:          true,
		"<!-- a --> <!-- " + line + " -->": false,
		"```\n" + line + "\n```":           false,
		"````\n```\n" + line + "\n````":    false,
		"```\n~~~\n" + line + "\n```":      false,
		"   ~~~ sql\n" + line + "\n   ~~~": false,
		"```\n" + line:                     false,
		"``` a\n``` b\n```\n" + line:       true,
		"<!--\n```\n-->\n" + line:          true,
		"```\n<!--\n```\n" + line:          true,
		"    " + line:                      false,
		"`" + line + "`":                   false,
		"> " + line + "\n<!-- not closed":  false,
		"a\r\n" + line + "\r\nb\r\n":       true,
	} {
		var good int
		for _, s := range waiver.FindScales(body) {
			if s.Err == nil {
				good++
			}
		}
		if (good == 1) != visible {
			t.Errorf("%q: %d good lines", body, good)
		}
	}
}

func FuzzScales(f *testing.F) {
	f.Add("<!-- ```\r\n--> PREFLIGHT-MIGRATION-SCALE: <30s N=1.9M\n~~~\n- PREFLIGHT-MIGRATION-SCALE: <1ms N=1_0")
	f.Fuzz(func(t *testing.T, body string) {
		for _, s := range waiver.FindScales(body) {
			if s.Line < 1 || s.Line > strings.Count(body, "\n")+1 {
				t.Errorf("line %d", s.Line)
			}
			if s.Err == nil && (s.Rows < 1 || s.Budget > waiver.MaxBudget) {
				t.Errorf("accepted: %+v", s)
			}
		}
		_, _, _ = waiver.FindAnnotation(strings.Split(body, "\n"))
	})
}
