package sqlscan

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// settings lists the commands to FTS tables that set a value or affect one row. All others
// process a whole table: rebuild, optimize, delete-all, integrity-check, and unknown ones.
var settings = []string{"automerge", "crisismerge", "deletemerge", "usermerge", "merge", "pgsz", "rank", "secure-delete",
	"hashsize", "delete", "escape", "escape=", "insttoken", "nodesize", "maxpending"}

// tableCommand returns the command that an INSERT gives a virtual table: the value for the
// column with the table's own name, or named command. It returns "" for a command that is
// known only at run time.
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

// valuesAt returns the values that a query without tables yields in one column.
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

// Commands reports whether a command is one that FTS tables know, so that the INSERT is
// unlikely to be a row for another kind of table.
func (s Statement) Commands() bool {
	return slices.Contains([]string{"rebuild", "optimize", "delete-all", "integrity-check", "flush"}, s.Command)
}
