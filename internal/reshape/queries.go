package reshape

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// QueryPlan returns SQLite's plan of a query of the application, and does not run it. Its parameters
// are taken for NULL.
func QueryPlan(ctx context.Context, q lite.Querier, query string) ([]string, error) {
	statements := Statements(query)
	if len(statements) != 1 {
		return nil, fmt.Errorf("%w: %q is not one statement", lite.ErrFragment, query)
	}
	plan, err := lite.Plan(ctx, q, statements[0], parameters(statements[0]))
	if err != nil {
		return nil, fmt.Errorf("the query %q: %w", query, lite.Explain(err))
	}
	return plan, nil
}

// parameters are NULLs for all parameters of a query.
func parameters(query string) (args []any) {
	var names []string
	for i := 0; i < len(query); {
		length, _ := lite.Token(query[i:])
		token := query[i : i+length]
		i += length
		switch n, err := strconv.Atoi(token[1:]); {
		case token == "?":
			args = append(args, nil)
		case token[0] == '?' && err == nil:
			args = append(args, make([]any, max(0, n-len(args)))...)
		case len(token) > 1 && strings.IndexByte(":@$", token[0]) >= 0 && !slices.Contains(names, token):
			args, names = append(args, sql.Named(token[1:], nil)), append(names, token)
		}
	}
	return args
}

// Uses reports whether a plan reads one of the indexes.
func Uses(plan, indexes []string) bool {
	return slices.ContainsFunc(plan, func(step string) bool {
		return slices.ContainsFunc(indexes, func(name string) bool {
			_, after, found := strings.Cut(step, "INDEX "+name)
			return found && (after == "" || after[0] == ' ')
		})
	})
}

// NewIndexes are the names of the indexes that the statements of a schema make.
func NewIndexes(schema string) (names []string) {
	for _, statement := range Statements(schema) {
		if ix, err := parseIndex(statement); err == nil {
			names = append(names, ix.Name)
		}
	}
	return names
}
