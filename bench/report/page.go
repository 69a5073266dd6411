package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/dataset"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// section is the charts of one shape of data.
type section struct {
	Title   string
	Figures []figure
}

// WriteHTML writes results as one page that holds all it needs: no script, no
// network.
func WriteHTML(w io.Writer, r bench.Results) error {
	err := page.Execute(w, struct {
		Facts      []fact
		Goals      []goalLine
		Contenders []bench.Contender
		Tables     []table
		Sections   []section
		Colours    []struct{}
	}{facts(r), goalLines(r), shown(r), tables(r), sections(r), make([]struct{}, 1+len(bench.Contenders()))})
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// shown lists the contenders that were run.
func shown(r bench.Results) []bench.Contender {
	run := make(map[string]bool)
	for _, t := range r.Trials {
		run[t.Contender] = true
	}
	var all []bench.Contender
	for _, c := range bench.Contenders() {
		if run[c.Name] {
			all = append(all, c)
		}
	}
	return all
}

func sections(r bench.Results) []section {
	var all []section
	for _, shape := range []dataset.Shape{dataset.Clustered, dataset.Scattered} {
		if drawn := figures(r, shape, r.MainSize()); len(drawn) > 0 {
			title := fmt.Sprintf("%s data, %s rows", shape, number(float64(r.MainSize())))
			all = append(all, section{Title: title, Figures: drawn})
		}
	}
	return all
}
