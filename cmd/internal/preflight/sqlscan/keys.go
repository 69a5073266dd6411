package sqlscan

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// tableKeys returns the sets of columns whose values identify one row.
func tableKeys(n *ast.CreateTableStmt) (keys [][]string) {
	for _, column := range n.Columns {
		if strings.EqualFold(column.Name.Name, "id") && len(column.Constraints) == 0 && column.Type != nil && hole(column.Type.Name) {
			keys = append(keys, []string{"id"}) // the inserted text defines it, or it is a key anyway
		}
		for _, c := range column.Constraints {
			if c.Kind == ast.ColumnPrimaryKey || c.Kind == ast.ColumnUnique {
				keys = append(keys, []string{strings.ToLower(column.Name.Name)})
			}
		}
	}
	for _, c := range n.Constraints {
		if c.Kind == ast.TablePrimaryKey || c.Kind == ast.TableUnique {
			keys = appendKey(keys, c.Columns)
		}
	}
	return keys
}

func indexKeys(n *ast.CreateIndexStmt) [][]string {
	if !n.Unique || n.Where != nil {
		return nil
	}
	return appendKey(nil, n.Columns)
}

// appendKey skips a key over an expression: no column identifies its rows.
func appendKey(keys [][]string, terms []*ast.OrderingTerm) [][]string {
	var key []string
	for _, term := range terms {
		name, ok := columnName(term.Expr)
		if !ok {
			return keys
		}
		key = append(key, name)
	}
	return append(keys, key)
}

// columnName returns the name of a plain column, with or without a collation, in lower
// case.
func columnName(e ast.Expr) (string, bool) {
	switch n := e.(type) {
	case *ast.Ident:
		return strings.ToLower(n.Name), true
	case *ast.CollateExpr:
		return columnName(n.X)
	case *ast.ParenExpr:
		return columnName(n.X)
	}
	return "", false
}

// tableColumns returns the columns of a table.
func tableColumns(n *ast.CreateTableStmt) (names []string) {
	for _, column := range n.Columns {
		names = append(names, strings.ToLower(column.Name.Name))
	}
	return names
}

// pinned returns the columns of table that where compares for equality with a value or a
// list of values, and those that it compares with a query.
func pinned(where ast.Expr, table *ast.QualifiedName, alias *ast.Ident, with *ast.With) ([]string, []Lookup) {
	name := table.Name.Name
	if alias != nil {
		name = alias.Name
	}
	p := pins{table: strings.ToLower(name), named: commonColumns(with)}
	p.add(where)
	return p.columns, p.lookups
}

type pins struct {
	table   string
	named   map[string][]string // columns of the statement's common table expressions
	columns []string
	lookups []Lookup
}

func (p *pins) add(where ast.Expr) {
	switch n := where.(type) {
	case *ast.ParenExpr:
		p.add(n.X)
	case *ast.BinaryExpr:
		switch n.Op {
		case ast.OpAnd:
			p.add(n.X)
			p.add(n.Y)
		case ast.OpEq:
			p.pin(n.X, n.Y)
			p.pin(n.Y, n.X)
		}
	case *ast.InExpr:
		switch {
		case n.Not:
		case len(n.List) > 0 && allValues(n.List), n.Table != nil && n.Table.Schema == nil && isHole(n.Table.Name.Name):
			p.columns = append(p.columns, columns(n.X, p.table)...)
		case n.Select != nil && oneRow(n.Select):
			p.look(n.X, n.Select)
		}
	}
}

func (p *pins) pin(left, right ast.Expr) {
	if value(right) {
		p.columns = append(p.columns, columns(left, p.table)...)
		return
	}
	if query, ok := bare(right).(*ast.SubqueryExpr); ok {
		p.look(left, query.Select)
	}
}

func (p *pins) look(left ast.Expr, query *ast.SelectStmt) {
	names := columns(left, p.table)
	if l, ok := lookup(query, p.named); ok && len(names) > 0 {
		l.Columns = names
		p.lookups = append(p.lookups, l)
	}
}

// columns returns the columns that an expression consists of, if it is a column of the
// table or a row value of such columns.
func columns(e ast.Expr, table string) []string {
	switch n := e.(type) {
	case *ast.ParenExpr:
		return columns(n.X, table)
	case *ast.Ident:
		if !hole(n.Name) {
			return []string{strings.ToLower(n.Name)}
		}
	case *ast.QualifiedRef:
		last := len(n.Parts) - 1
		if strings.EqualFold(n.Parts[last-1].Name, table) {
			return []string{strings.ToLower(n.Parts[last].Name)}
		}
	case *ast.VectorExpr:
		var all []string
		for _, part := range n.List {
			all = append(all, columns(part, table)...)
		}
		return all
	}
	return nil
}

// value reports whether an expression has the same value for each row. A hole counts as
// such: programs insert values where a value is expected.
func value(e ast.Expr) bool {
	switch n := e.(type) {
	case *ast.Literal, *ast.BindParam:
		return true
	case *ast.Ident:
		return hole(n.Name)
	case *ast.ParenExpr:
		return value(n.X)
	case *ast.UnaryExpr:
		return value(n.X)
	case *ast.CastExpr:
		return value(n.X)
	case *ast.BinaryExpr:
		return value(n.X) && value(n.Y)
	case *ast.VectorExpr:
		return allValues(n.List)
	case *ast.FuncCall:
		return n.Over == nil && !n.Star && allValues(n.Args)
	}
	return false
}

func allValues(list []ast.Expr) bool {
	for _, e := range list {
		if !value(e) {
			return false
		}
	}
	return true
}

func hole(name string) bool { return strings.Contains(name, Hole) }
