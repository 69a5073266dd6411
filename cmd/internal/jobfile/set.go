package jobfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/jobs"
)

// assigns reads the set of a job. A table in TOML has no order, so its columns are in that of
// their names: to move a line makes no other job. A list keeps its order.
func assigns(set any) (all []jobs.Assign, err error) {
	switch set := set.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		for _, column := range slices.Sorted(maps.Keys(set)) {
			expr, ok := set[column].(string)
			if !ok || strings.TrimSpace(expr) == "" {
				return nil, fmt.Errorf(`set.%s is not an expression in quotes, such as %s = "lower(%[1]s)"`, column, column)
			}
			all = append(all, jobs.Assign{Column: column, Expr: strings.TrimSpace(expr)})
		}
		return all, nil
	case []any:
		for _, item := range set {
			text, ok := item.(string)
			assign, err := flags.ParseAssign(text)
			if !ok || err != nil {
				return nil, fmt.Errorf("set %q is not of the form 'column = expression'", fmt.Sprint(item))
			}
			all = append(all, assign)
		}
		return all, nil
	}
	return nil, fmt.Errorf(`set is neither a table, such as { column = "expression" }, nor a list of 'column = expression'`)
}
