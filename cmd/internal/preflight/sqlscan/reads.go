package sqlscan

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// reads returns the tables in the FROM clauses of a query and, if it is a plain SELECT from
// one table, its condition. Common table expressions and table-valued functions do not
// count as tables: what they read is found inside them.
func reads(query *ast.SelectStmt, with *ast.With) (tables []*ast.TableRef, where ast.Expr) {
	named := map[string]bool{}
	collect := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.With:
			addNames(named, n)
		case *ast.SelectStmt:
			addNames(named, n.With)
		case *ast.TableRef:
			if n.Name != nil && !n.HasArgs && !named[strings.ToLower(n.Name.Name.Name)] {
				tables = append(tables, n)
			}
		}
		return true
	}
	for _, w := range []*ast.With{with, query.With} {
		ast.Walk(w, collect)
	}
	for _, core := range query.Cores {
		walkFrom(core, collect)
	}
	if core, ok := query.Cores[0].(*ast.SelectQuery); ok && len(query.Cores) == 1 && with == nil && query.With == nil &&
		len(core.From) == 1 && core.From[0].Name != nil {
		where = core.Where
	}
	return tables, where
}

func addNames(names map[string]bool, with *ast.With) {
	if with == nil {
		return
	}
	for _, c := range with.CTEs {
		names[strings.ToLower(c.Name.Name)] = true
	}
}

// walkFrom skips the condition: EXISTS (SELECT … WHERE key = ?) is the idiom for inserting
// a row once.
func walkFrom(core ast.SelectCore, visit func(ast.Node) bool) {
	query, ok := core.(*ast.SelectQuery)
	if !ok {
		return
	}
	for _, ref := range query.From {
		ast.Walk(ref, visit)
	}
}
