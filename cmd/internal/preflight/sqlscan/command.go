package sqlscan

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// settings are the commands to FTS tables that set a value or touch one row. All
// others go over a whole table: rebuild, optimize, delete-all, integrity-check,
// and those that are not known.
var settings = []string{"automerge", "crisismerge", "deletemerge", "usermerge", "merge", "pgsz", "rank", "secure-delete",
	"hashsize", "delete", "escape", "escape=", "insttoken", "nodesize", "maxpending"}

// tableCommand is what an INSERT commands a virtual table: the value for the
// column that has the table's own name, or is called command. "" is one that is
// known only when the program runs.
func tableCommand(n *ast.InsertStmt) (command string, ok bool) {
	place := slices.IndexFunc(n.Columns, func(c *ast.Ident) bool {
		return strings.EqualFold(c.Name, n.Table.Name.Name) || strings.EqualFold(c.Name, "command")
	})
	if place < 0 {
		return "", false
	}
	for _, e := range valuesAt(n.Select, place) {
		literal, known := e.(*ast.Literal)
		if !known {
			return "", true
		}
		name, _, _ := strings.Cut(strings.ToLower(literal.Value), "=")
		if literal.Kind == ast.LitString && !slices.Contains(settings, name) {
			return name, true
		}
	}
	return "", false
}

// valuesAt lists what a query without tables yields in one place.
func valuesAt(query *ast.SelectStmt, place int) (list []ast.Expr) {
	for _, core := range query.Cores {
		switch core := core.(type) {
		case *ast.ValuesClause:
			for _, row := range core.Rows {
				if place < len(row) {
					list = append(list, bare(row[place]))
				}
			}
		case *ast.SelectQuery:
			if place < len(core.Columns) {
				list = append(list, bare(core.Columns[place].Expr))
			}
		}
	}
	return list
}

func bare(e ast.Expr) ast.Expr {
	if p, ok := e.(*ast.ParenExpr); ok {
		return bare(p.X)
	}
	return e
}

// Commands reports whether a command is one that FTS tables know, so that it is
// hardly a row for a table of another kind.
func (s Statement) Commands() bool {
	return slices.Contains([]string{"rebuild", "optimize", "delete-all", "integrity-check", "flush"}, s.Command)
}
