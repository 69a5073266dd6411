package sqlscan

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/parser"
	"github.com/sqlc-dev/meyer/token"
)

// judge tells one statement's kind and cost, by the parser where that is possible.
func judge(sql string, part []token.Token) Statement {
	if !interesting(part[0]) {
		return Statement{}
	}
	start, end := part[0].Pos, part[len(part)-1].End
	text := sql[start:end]
	stmt, err := parse(text)
	if err != nil {
		stmt, err = parse(fillHoles(sql, part))
	}
	var s Statement
	if err == nil {
		s = classify(text, stmt)
		s.Certain = !twoWords(text, part)
	} else {
		s = guess(words(sql, part))
	}
	s.Start, s.End = start, end
	if hole(text) {
		s.Job = Job{Obstacle: "parts of it are known only when the program runs: write them out"}
	}
	if hole(s.Table) {
		s.Table = ""
	}
	return s
}

func parse(text string) (ast.Stmt, error) {
	return parser.Options{UpdateDeleteLimit: true}.ParseStatement(text)
}

// interesting saves the parser all those SELECTs.
func interesting(first token.Token) bool {
	switch first.Kind {
	case token.CREATE, token.ALTER, token.UPDATE, token.DELETE, token.INSERT, token.REPLACE,
		token.WITH, token.REINDEX, token.VACUUM:
		return true
	}
	return false
}

// twoWords tells VACUUM and REINDEX x written in small letters, which may be
// any two words.
func twoWords(text string, part []token.Token) bool {
	return len(part) <= 2 && text != strings.ToUpper(text)
}

// fillHoles puts something that parses, of the same length, for holes that
// stand where SQL has no name: a whole list of assignments, clauses at the end,
// UNIQUE or OR IGNORE.
func fillHoles(sql string, part []token.Token) string {
	start := part[0].Pos
	text := []byte(sql[start:part[len(part)-1].End])
	for i, t := range part {
		if t.Text(sql) != Hole || i == 0 {
			continue
		}
		with := Hole
		switch {
		case part[i-1].Kind == token.SET:
			with = "a=a"
		case i == len(part)-1 || part[i-1].Kind == token.CREATE || part[i-1].Kind == token.INSERT:
			with = "   "
		}
		copy(text[t.Pos-start:], with)
	}
	return string(text)
}

func classify(text string, stmt ast.Stmt) Statement {
	switch n := stmt.(type) {
	case *ast.CreateTableStmt:
		return classifyCreateTable(n)
	case *ast.CreateIndexStmt:
		return Statement{Kind: CreateIndex, Cost: Scan, Table: n.Table.Name, IfNotExists: n.IfNotExists, Keys: indexKeys(n)}
	case *ast.AlterTableStmt:
		return classifyAlter(n)
	case *ast.UpdateStmt:
		return Statement{Kind: Update, Cost: Rewrite, Table: n.Table.Name.Name,
			Pinned: pinned(n.Where, n.Table, n.Alias), Job: updateJob(text, n)}
	case *ast.DeleteStmt:
		return Statement{Kind: Delete, Cost: Rewrite, Table: n.Table.Name.Name,
			Pinned: pinned(n.Where, n.Table, n.Alias), Job: deleteJob(text, n)}
	case *ast.InsertStmt:
		return classifyInsert(n)
	case *ast.ReindexStmt:
		return Statement{Kind: Reindex, Cost: Scan, Table: optionalName(n.Name)}
	case *ast.VacuumStmt:
		if n.Into != nil {
			return Statement{Kind: Vacuum, Cost: Scan}
		}
		return Statement{Kind: Vacuum, Cost: Rewrite}
	}
	return Statement{}
}

func optionalName(n *ast.QualifiedName) string {
	if n == nil {
		return ""
	}
	return n.Name.Name
}

func classifyCreateTable(n *ast.CreateTableStmt) Statement {
	s := Statement{Kind: CreateTable, Cost: Metadata, Table: n.Name.Name.Name, IfNotExists: n.IfNotExists}
	if n.Select == nil {
		s.Schema, s.Keys = true, tableKeys(n)
		return s
	}
	if sources, _ := reads(n.Select, nil); len(sources) > 0 {
		s.Kind, s.Cost, s.Table = CreateTableAs, Rewrite, sources[0].Name.Name.Name
	}
	return s
}

// classifyInsert keeps INSERT … SELECT that reads a table. One that reads none,
// "INSERT … SELECT ?, ? WHERE NOT EXISTS (…)", writes a row or so.
func classifyInsert(n *ast.InsertStmt) Statement {
	if n.Select == nil {
		return Statement{}
	}
	sources, where := reads(n.Select, n.With)
	if len(sources) == 0 {
		return Statement{}
	}
	s := Statement{Kind: InsertSelect, Cost: Rewrite, Table: sources[0].Name.Name.Name}
	if len(sources) == 1 {
		s.Pinned = pinned(where, sources[0].Name, sources[0].Alias)
	}
	return s
}

// alterations is what each form costs, in the words of SQLite's documentation
// of ALTER TABLE and as classes_test.go measures it.
var alterations = map[ast.AlterAction]struct {
	action string
	cost   Cost
}{
	ast.AlterRenameTable:        {"RENAME TO", Metadata},
	ast.AlterRenameColumn:       {"RENAME COLUMN", Metadata},
	ast.AlterAddColumn:          {"ADD COLUMN", Metadata},
	ast.AlterDropColumn:         {"DROP COLUMN", Rewrite},
	ast.AlterDropConstraint:     {"DROP CONSTRAINT", Metadata},
	ast.AlterDropNotNull:        {"DROP NOT NULL", Metadata},
	ast.AlterSetNotNull:         {"SET NOT NULL", Scan},
	ast.AlterAddConstraintCheck: {"ADD CHECK", Scan},
}

func classifyAlter(n *ast.AlterTableStmt) Statement {
	form := alterations[n.Action]
	s := Statement{Kind: AlterTable, Cost: form.cost, Action: form.action, Table: n.Table.Name.Name}
	if n.Action == ast.AlterAddColumn && tested(n.ColumnDef) {
		s.Cost = Scan
	}
	return s
}

// tested reports whether SQLite checks existing rows when the column is added.
func tested(column *ast.ColumnDef) bool {
	if column == nil {
		return false
	}
	var notNull, generated bool
	for _, c := range column.Constraints {
		switch c.Kind {
		case ast.ColumnCheck:
			return true
		case ast.ColumnNotNull:
			notNull = true
		case ast.ColumnGenerated:
			generated = true
		}
	}
	return notNull && generated
}
