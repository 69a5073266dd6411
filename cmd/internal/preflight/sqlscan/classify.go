package sqlscan

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/parser"
	"github.com/sqlc-dev/meyer/token"
)

const (
	unknownText = "the text here is known only at run time"
	unknownVerb = "its first words are known only at run time"
	notSQLite   = "SQLite's grammar has no such statement: this text, or text that it swallows, could not be parsed"
)

// judge determines a statement's kind and cost, using the parser if possible.
func (src *reader) judge(part []token.Token, file bool) Statement {
	if !file && !interesting(part[0]) && !strings.HasPrefix(part[0].Text(src.sql), Hole) {
		return Statement{}
	}
	start, end := part[0].Pos, part[len(part)-1].End
	text := src.sql[start:end]
	stmt, err := parse(text)
	if err != nil {
		stmt, err = parse(fillHoles(src.sql, part))
	}
	var s Statement
	if err == nil {
		s = classify(text, stmt)
		s.Certain = !twoWords(text, part)
	} else if part[0].Kind != token.DROP || file {
		s = refused(words(src.sql, part), file)
	}
	s.Start, s.End = start, end
	if hole(text) {
		s.Job = Job{Obstacle: "parts of it are known only at run time: write them out"}
	}
	s.Table, s.Target, s.NewName = src.named(s.Table), src.named(s.Target), src.named(s.NewName)
	if src.decided(start, end) {
		s.Pinned, s.Lookups = nil, nil
	}
	return s
}

// refused judges text that the parser rejected. In a file that is final: no words are
// skipped for not being a statement.
func refused(w []word, file bool) Statement {
	s := guess(w)
	s.Dialect, s.Slip = dialect(w)
	open := slices.ContainsFunc(w, func(x word) bool { return x.quoted != 0 && !x.closed() })
	switch {
	case s.Kind.Costs():
	case s.Kind != None && !file && !open:
	case strings.HasPrefix(w[0].text, Hole):
		s = Statement{Kind: Unread, Problem: unknownVerb}
	case harmlessInsert(w) && !open:
		s = Statement{Kind: Insert, Target: nameAt(w, find(w, "INTO")+1)}
	case file || len(w) > 1:
		s = Statement{Kind: Unread, Problem: notSQLite, Certain: file, Dialect: s.Dialect, Slip: s.Slip}
	}
	if s.Kind == Unread {
		s.Cost = Unknown
	}
	return s
}

func parse(text string) (ast.Stmt, error) {
	return parser.Options{UpdateDeleteLimit: true}.ParseStatement(text)
}

// interesting reports whether a statement is worth parsing; most SELECTs are not.
func interesting(first token.Token) bool {
	switch first.Kind {
	case token.CREATE, token.ALTER, token.UPDATE, token.DELETE, token.INSERT, token.REPLACE,
		token.WITH, token.REINDEX, token.VACUUM, token.DROP:
		return true
	}
	return false
}

// twoWords reports whether text may be VACUUM or REINDEX x in lower case, which could be
// any two words.
func twoWords(text string, part []token.Token) bool {
	return len(part) <= 2 && text != strings.ToUpper(text)
}

// fillHoles replaces holes by text of the same length that parses, where SQL does not allow
// a name: a whole list of assignments, more parameters in a list, clauses at the end,
// UNIQUE or OR IGNORE.
func fillHoles(sql string, part []token.Token) string {
	start := part[0].Pos
	text := []byte(sql[start:part[len(part)-1].End])
	list := false // inside a list after IN, of parameters so far
	for i, t := range part {
		if !isHole(t.Text(sql)) || i == 0 {
			list = i > 0 && (t.Kind == token.LP && part[i-1].Kind == token.IN || list && (t.Kind == token.VARIABLE || t.Kind == token.COMMA))
			continue
		}
		with := t.Text(sql)
		switch {
		case part[i-1].Kind == token.SET:
			with = "a=a"
		case list && (part[i-1].Kind == token.VARIABLE || i+1 < len(part) && part[i+1].Kind == token.VARIABLE):
			with = "" // more parameters, with their commas
		case i == len(part)-1 || part[i-1].Kind == token.CREATE || part[i-1].Kind == token.INSERT:
			with = ""
		}
		copy(text[t.Pos-start:], pad(with, t.End-t.Pos))
	}
	return string(text)
}

func classify(text string, stmt ast.Stmt) Statement {
	switch n := stmt.(type) {
	case *ast.CreateTableStmt:
		return classifyCreateTable(n)
	case *ast.CreateVirtualTableStmt:
		return on(n.Name, Statement{Kind: CreateTable, Cost: Metadata, IfNotExists: n.IfNotExists, Virtual: strings.ToLower(n.Module.Name)})
	case *ast.CreateIndexStmt:
		return Statement{Kind: CreateIndex, Cost: Scan, Database: database(n.Name), Table: n.Table.Name, IfNotExists: n.IfNotExists,
			Keys: indexKeys(n), Index: n.Name.Name.Name}
	case *ast.AlterTableStmt:
		return on(n.Table, classifyAlter(n))
	case *ast.DropTableStmt:
		return on(n.Name, Statement{Kind: DropTable})
	case *ast.DropIndexStmt:
		return Statement{Kind: DropIndex, Database: database(n.Name), Index: n.Name.Name.Name}
	case *ast.UpdateStmt:
		return on(n.Table, bound(n.Where, n.Table, n.Alias, n.With, Statement{Kind: Update, Cost: Rewrite, Job: updateJob(text, n)}))
	case *ast.DeleteStmt:
		return on(n.Table, bound(n.Where, n.Table, n.Alias, n.With, Statement{Kind: Delete, Cost: Rewrite, Job: deleteJob(text, n)}))
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

// on sets a statement's table. SQLite's internal tables have about one row per table:
// writing all of one costs nothing.
func on(table *ast.QualifiedName, s Statement) Statement {
	s.Table, s.Database = table.Name.Name, database(table)
	small := strings.EqualFold(s.Table, "sqlite_sequence") || strings.HasPrefix(strings.ToLower(s.Table), "sqlite_stat")
	if small && (s.Kind == Update || s.Kind == Delete) {
		return Statement{}
	}
	return s
}

// database returns the database that a name's qualifier says its table is in. A table made
// for one connection is not the stored table of that name.
func database(name *ast.QualifiedName) string {
	if name.Schema == nil || strings.EqualFold(name.Schema.Name, "main") {
		return ""
	}
	return strings.ToLower(name.Schema.Name)
}

func bound(where ast.Expr, table *ast.QualifiedName, alias *ast.Ident, with *ast.With, s Statement) Statement {
	s.Pinned, s.Lookups = pinned(where, table, alias, with)
	return s
}

func optionalName(n *ast.QualifiedName) string {
	if n == nil {
		return ""
	}
	return n.Name.Name
}

func classifyCreateTable(n *ast.CreateTableStmt) Statement {
	s := on(n.Name, Statement{Kind: CreateTable, Cost: Metadata, IfNotExists: n.IfNotExists})
	if n.Temp {
		s.Database = "temp"
	}
	if n.Select == nil {
		s.Schema, s.Keys, s.Columns = true, tableKeys(n), tableColumns(n)
		return s
	}
	s.Target = s.Table
	if sources, _ := reads(n.Select, nil); len(sources) > 0 {
		s.Kind, s.Cost, s.Table = CreateTableAs, Rewrite, sources[0].Name.Name.Name
	}
	return s
}

// classifyInsert recognizes INSERT … SELECT that reads a table. One that reads none,
// "INSERT … SELECT ?, ? WHERE NOT EXISTS (…)", writes a row or so, unless it is a command
// to a virtual table.
func classifyInsert(n *ast.InsertStmt) Statement {
	s := Statement{Target: n.Table.Name.Name, Table: n.Table.Name.Name, Database: database(n.Table)}
	if n.Select == nil {
		return Statement{}
	}
	sources, where := reads(n.Select, n.With)
	if len(sources) > 0 {
		s.Kind, s.Cost, s.Table = InsertSelect, Rewrite, sources[0].Name.Name.Name
		if len(sources) == 1 {
			s = bound(where, sources[0].Name, sources[0].Alias, nil, s)
		}
		return s
	}
	if command, ok := tableCommand(n); ok {
		s.Kind, s.Cost, s.Command = TableCommand, Rewrite, command
		return s
	}
	s.Kind, s.Bulk = Insert, generates(n)
	if s.Bulk || params(n) > 0 {
		return s
	}
	return Statement{}
}

// generates reports whether a query without a table generates rows, by WITH RECURSIVE or a
// table-valued function.
func generates(n *ast.InsertStmt) bool {
	core, ok := n.Select.Cores[0].(*ast.SelectQuery)
	return n.With != nil || n.Select.With != nil || ok && len(core.From) > 0
}

// alterations holds the cost of each form, in the words of SQLite's documentation of ALTER
// TABLE and as classes_test.go measures it.
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
	s := Statement{Kind: AlterTable, Cost: form.cost, Action: form.action}
	if n.NewName != nil {
		s.NewName = n.NewName.Name
	}
	if n.Column != nil {
		s.Column = strings.ToLower(n.Column.Name)
	}
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
