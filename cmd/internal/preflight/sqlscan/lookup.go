package sqlscan

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// lookup analyzes a query that a column is compared with. It returns false if a name in the
// query is qualified as belonging to the outer table: the query then has a different value
// for each row.
func lookup(query *ast.SelectStmt, named map[string][]string) (l Lookup, ok bool) {
	r := references{notColumns: map[*ast.Ident]bool{}, aliases: map[string]bool{}}
	ast.Walk(query, r.visit)
	for _, q := range r.qualified {
		if !r.aliases[q] {
			return Lookup{}, false // the outer table, or an unknown one
		}
	}
	var common []string
	for _, table := range r.tables {
		if columns, ok := named[table]; ok {
			common = append(common, columns...)
			continue
		}
		l.Tables = append(l.Tables, table)
	}
	for _, name := range r.names {
		if slices.Contains(common, strings.ToLower(name.Name)) {
			continue
		}
		if !r.notColumns[name] && !r.aliases[strings.ToLower(name.Name)] {
			l.Names = append(l.Names, strings.ToLower(name.Name))
		}
	}
	return l, !slices.ContainsFunc(l.Names, hole)
}

// commonColumns returns the columns of common table expressions, as far as they have names.
func commonColumns(with *ast.With) map[string][]string {
	if with == nil {
		return nil
	}
	named := map[string][]string{}
	for _, c := range with.CTEs {
		list := []string{}
		for _, column := range c.Columns {
			list = append(list, strings.ToLower(column.Name))
		}
		if core, ok := c.Select.Cores[0].(*ast.SelectQuery); ok && len(list) == 0 {
			for _, column := range core.Columns {
				list = append(list, resultName(column))
			}
		}
		named[strings.ToLower(c.Name.Name)] = list
	}
	return named
}

func resultName(column *ast.ResultColumn) string {
	if column.Alias != nil {
		return strings.ToLower(column.Alias.Name)
	}
	switch e := column.Expr.(type) {
	case *ast.Ident:
		return strings.ToLower(e.Name)
	case *ast.QualifiedRef:
		return strings.ToLower(e.Parts[len(e.Parts)-1].Name)
	}
	return ""
}

// references holds the names in a query, by what they name.
type references struct {
	tables     []string
	aliases    map[string]bool // of tables and results
	qualified  []string        // the qualifiers of columns
	names      []*ast.Ident
	notColumns map[*ast.Ident]bool
}

func (r *references) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.TableRef:
		r.table(n)
	case *ast.QualifiedName:
		return false
	case *ast.QualifiedRef:
		r.qualified = append(r.qualified, strings.ToLower(n.Parts[len(n.Parts)-2].Name))
		return false
	case *ast.ResultColumn:
		r.alias(n.Alias)
	case *ast.CTE:
		r.alias(n.Name)
	case *ast.FuncCall:
		r.notColumns[n.Name] = true
	case *ast.CollateExpr:
		r.notColumns[n.Name] = true
	case *ast.TypeName:
		return false
	case *ast.Ident:
		r.names = append(r.names, n)
	}
	return true
}

func (r *references) table(n *ast.TableRef) {
	if n.IndexedBy != nil {
		r.notColumns[n.IndexedBy] = true
	}
	if n.Alias != nil {
		r.alias(n.Alias)
	} else if n.Name != nil {
		r.aliases[strings.ToLower(n.Name.Name.Name)] = true
	}
	if n.Name != nil {
		r.tables = append(r.tables, strings.ToLower(n.Name.Name.Name))
	}
}

func (r *references) alias(name *ast.Ident) {
	if name != nil {
		r.aliases[strings.ToLower(name.Name)] = true
		r.notColumns[name] = true
	}
}

// oneRow reports whether a query itself limits its result to one row.
func oneRow(query *ast.SelectStmt) bool {
	core, ok := query.Cores[0].(*ast.SelectQuery)
	if !ok || len(query.Cores) != 1 || core.Limit == nil {
		return false
	}
	// In LIMIT a, b the first number is the offset.
	count := core.Limit.Count
	if core.Limit.Comma {
		count = core.Limit.Offset
	}
	n, ok := count.(*ast.Literal)
	return ok && n.Raw == "1" && (!core.Limit.Comma || isOne(core.Limit.Count))
}

func isOne(e ast.Expr) bool {
	n, ok := e.(*ast.Literal)
	return ok && n.Raw == "1"
}
