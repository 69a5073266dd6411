package metrics

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDocs: docs/metrics.md has a row for each metric, with its labels and its help text,
// and no other. Planted and caught: a metric renamed; a label more; a help text reworded.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, " | ")
		if name, ok := strings.CutPrefix(cells[0], "| `chunkfill_"); ok && len(cells) == 4 {
			labels := strings.NewReplacer("`", "", " ", "").Replace(cells[2])
			documented["chunkfill_"+strings.TrimSuffix(name, "`")+" {"+labels+"} "+strings.TrimSuffix(cells[3], " |")] = true
		} else if ok {
			row := regexp.MustCompile(`^\| .(chunkfill_\w+). \| \w+ \| \| (.*) \|$`).FindStringSubmatch(line) // no label
			documented[row[1]+" {} "+row[2]] = true
		}
	}

	described := make(chan *prometheus.Desc, 100)
	New().Describe(described)
	close(described)
	parts := regexp.MustCompile(`fqName: "(\w+)", help: "([^"]*)",.* variableLabels: {([\w,]*)}`)
	for desc := range described {
		m := parts.FindStringSubmatch(desc.String())
		if m == nil {
			t.Fatal(desc)
		}
		row := m[1] + " {" + m[3] + "} " + m[2]
		if !documented[row] {
			t.Errorf("docs/metrics.md has no row for %s", row)
		}
		delete(documented, row)
	}
	for row := range documented {
		t.Errorf("docs/metrics.md has a row too many: %s", row)
	}
}
