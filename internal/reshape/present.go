package reshape

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Present reports whether the table has the one index of the schema already, to the tokens of its
// definition. It refuses one of that name which is another.
func (w Wanted) Present(ctx context.Context, q lite.Querier) (bool, error) {
	statements := Statements(w.Schema)
	if len(statements) != 1 {
		return false, nil
	}
	wanted, err := parseIndex(statements[0])
	if err != nil {
		return false, nil //nolint:nilerr // it is said elsewhere what is wrong with it
	}
	there, err := objects(ctx, q, w.Table)
	if err != nil {
		return false, err
	}
	for _, o := range there {
		if o.kind != "index" || o.sql == "" || !lite.SameName(o.name, wanted.Name) {
			continue
		}
		is, err := parseIndex(o.sql)
		if err != nil || is.unique != wanted.unique || tokens(is.rest) != tokens(wanted.rest) {
			return false, fmt.Errorf("%w: there is an index %s already, and it is another one: %s; drop it, or give the new one another name", ErrShape, o.name, o.sql)
		}
		return true, nil
	}
	return false, nil
}

// SameTable reports whether two CREATE TABLEs are the same to their tokens.
func SameTable(a, b string) bool { return tokens(a) == tokens(b) }

// tokens is a text in which spaces, comments, the case of words and the quotes of names do not matter.
func tokens(text string) string {
	var b strings.Builder
	for _, t := range scan(text) {
		token := text[t.start:t.end]
		if t.name != "" {
			token = lite.FoldName(t.name)
		}
		b.WriteString(token + " ")
	}
	return b.String()
}
