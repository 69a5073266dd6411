package audit

import (
	"cmp"
	"regexp"
	"slices"

	"github.com/chunkfill/chunkfill"
)

// kind is errors that say the same of different rows.
type kind struct {
	Error string `json:"error"` // their text; with "…" where they differ
	Rows  int    `json:"rows"`
}

// values are what the text of an error may have of the row that it is about.
var values = regexp.MustCompile(`"[^"]*"|'[^']*'|\b0[xX][0-9a-fA-F]+\b|\b\d[\d.]*\b`)

// kindsOf returns the kinds of errors that rows have, the most frequent first.
func kindsOf(rows []chunkfill.BadRow) []kind {
	kinds := []kind{}
	at := map[string]int{}
	for _, r := range rows {
		form := values.ReplaceAllString(r.Error, "…")
		i, known := at[form]
		if !known {
			i, at[form] = len(kinds), len(kinds)
			kinds = append(kinds, kind{Error: r.Error})
		}

		kinds[i].Rows++
		if kinds[i].Error != r.Error {
			kinds[i].Error = form
		}
	}

	slices.SortStableFunc(kinds, func(a, b kind) int { return cmp.Compare(b.Rows, a.Rows) })
	return kinds
}
