package sqlscan

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// Job holds the parts of an UPDATE or DELETE for a chunked job.
type Job struct {
	Set      []Assign
	Where    string
	Params   int    // number of ? in Set, then in Where
	Obstacle string // why it cannot be a chunked job as it stands; "" if it can
}

// Assign sets a column to a SQL expression.
type Assign struct{ Column, Expr string }

func updateJob(text string, n *ast.UpdateStmt) Job {
	job := Job{Where: source(text, n.Where), Params: params(n)}
	for _, pair := range n.Set {
		job.Set = append(job.Set, Assign{pair.Columns[0].Name, source(text, pair.Value)})
		if len(pair.Columns) > 1 {
			job.Obstacle = "it sets several columns to one row value: set each column to its own expression"
		}
	}
	if len(n.From) > 0 {
		job.Obstacle = "it reads other tables in FROM: make each value a subquery over the row's own columns"
	}
	if n.OrConflict != ast.ConflictDefault {
		job.Obstacle = "it uses OR " + n.OrConflict.String() + ": a chunked job quarantines conflicting rows instead"
	}
	if o := commonObstacle(n, n.With, n.Alias, n.Limit, n.Returning); o != "" {
		job.Obstacle = o
	}
	return job
}

func deleteJob(text string, n *ast.DeleteStmt) Job {
	return Job{Where: source(text, n.Where), Params: params(n),
		Obstacle: commonObstacle(n, n.With, n.Alias, n.Limit, n.Returning)}
}

func commonObstacle(n ast.Node, with *ast.With, alias *ast.Ident, limit *ast.Limit, returning []*ast.ResultColumn) string {
	switch {
	case with != nil:
		return "it begins with WITH: move the query into a subquery of the expression or condition"
	case alias != nil:
		return "it uses an alias for the table: write the table's own name"
	case limit != nil:
		return "it has a LIMIT: leave it out, a chunked job works in small batches anyway"
	case len(returning) > 0:
		return "it has RETURNING: leave it out, a chunked job cannot return rows"
	case numbered(n):
		return "it uses named or numbered parameters: write ? and pass the values in order"
	}
	return ""
}

// source returns an expression as it was written.
func source(text string, e ast.Expr) string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(text[e.Pos():e.End()])
}

func params(n ast.Node) (count int) {
	ast.Walk(n, func(n ast.Node) bool {
		if _, ok := n.(*ast.BindParam); ok {
			count++
		}
		return true
	})
	return count
}

func numbered(n ast.Node) (found bool) {
	ast.Walk(n, func(n ast.Node) bool {
		p, ok := n.(*ast.BindParam)
		found = found || ok && p.Kind != ast.ParamAnon
		return !found
	})
	return found
}
