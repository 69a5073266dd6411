// Package sqlscan finds the statements of an SQL text whose cost grows with a
// table, and what is known of that cost from the text alone. It alone knows the
// parser; what the parser refuses is judged by its tokens.
package sqlscan

import "slices"

// Hole stands in SQL for what is known only when the program runs: a verb of a
// format, or an operand that is no constant. SQLite's tokenizer takes it for a
// name, so that a statement with holes can still be parsed.
const Hole = "…"

// Kind says what a statement does.
type Kind int

const (
	None Kind = iota // of no interest, or not SQL
	CreateTable
	CreateTableAs
	CreateIndex
	AlterTable
	Update
	Delete
	InsertSelect
	Reindex
	Vacuum
	TableCommand // an INSERT that is a command to a virtual table
	Unread       // what it does is not known
	DropTable    // those from here on cost nothing worth a decision, but tell of tables
	DropIndex
	Insert // of values that are parameters
)

// Costs reports whether the time of such a statement may grow with a table.
func (k Kind) Costs() bool { return k > None && k < DropTable && k != CreateTable }

// Tells reports whether such a statement only tells of tables.
func (k Kind) Tells() bool { return k >= DropTable }

// Cost says what a statement's time grows with.
type Cost string

const (
	Metadata Cost = "metadata" // the schema alone
	Scan     Cost = "scan"     // every row is read, the table is not written
	Rewrite  Cost = "rewrite"  // every row that qualifies is read and written
	Unknown  Cost = "unknown"  // it could not be read
)

// Statement is one statement of a text. Offsets are bytes of the text.
type Statement struct {
	Kind     Kind
	Cost     Cost
	Database string // that is written before the table, "" for the main one
	Table    string // which it reads or writes all of; "" when it cannot be told
	Target   string // of what writes another table than it reads
	Start    int    // of the first token
	End      int    // of the last token, the semicolon left out
	Line     int    // of Start, from 1
	Down     bool   // it takes a migration back

	IfNotExists bool
	Schema      bool       // a CREATE TABLE, all of whose keys are in Keys and columns in Columns
	Columns     []string   // in lower case, as are all names of columns here
	Keys        [][]string // columns that a CREATE TABLE or CREATE UNIQUE INDEX makes unique
	Pinned      []string   // columns of Table that it holds equal to values
	Lookups     []Lookup   // columns of Table that it holds equal to what a query finds
	Index       string     // that it creates or drops
	Virtual     string     // the module of a CREATE VIRTUAL TABLE
	Command     string     // to a virtual table; "" when it is known only when the program runs
	Action      string     // of an ALTER TABLE, as SQL says it
	Bulk        bool       // an Insert of more rows than are written out
	Column      string     // that an ALTER TABLE renames or drops
	NewName     string     // that an ALTER TABLE gives
	Problem     string     // why it is Unread
	Dialect     string     // of another database, whose statement it must be
	Slip        bool       // or else it is a mistake
	Job         Job        // the same as a chunked job, for Update and Delete

	// Certain is false for what may as well be prose: it was not parsed and has
	// only the first words of a statement, or it is no more than a word or two.
	Certain bool
}

// Lookup is a condition column = (SELECT …): one value, if no column in the query
// is one of the row that is looked at.
type Lookup struct {
	Columns []string
	Tables  []string // that the query reads
	Names   []string // columns in it without a table before them
}

// Comment is a run of "--" comments on lines of their own, or one comment of
// another kind.
type Comment struct {
	Start         int // offset of the first
	Line, EndLine int // from 1
	Lines         []string
	Stray         bool // behind a statement on its line, or a /* */ comment
}

// Parse splits a string of a program into statements and leaves out those of no
// interest. What cannot be read is Unread where it begins as a statement does.
func Parse(sql string) (statements []Statement, comments []Comment) { return parseAll(sql, false) }

// ParseFile does so for a file of SQL, in which everything is read or Unread.
func ParseFile(sql string) (statements []Statement, comments []Comment) { return parseAll(sql, true) }

func parseAll(sql string, file bool) (statements []Statement, comments []Comment) {
	src := read(sql, file)
	tokens, trivia := src.lex(file)
	for _, part := range split(cutAt(tokens, trivia, src.sql)) {
		holes, rest := leading(part, src.sql)
		if len(holes) > 0 && file {
			statements = append(statements, unread(holes[0].Pos, holes[len(holes)-1].End, unknownText))
		}
		if s := src.judge(rest, file); s.Kind != None {
			statements = append(statements, s)
		}
	}
	statements = append(statements, src.unread...)
	slices.SortStableFunc(statements, func(a, b Statement) int { return a.Start - b.Start })
	lines := NewLines(sql)
	offsets, down := downs(trivia, src.sql)
	for i := range statements {
		s := &statements[i]
		s.Line = lines.at(s.Start)
		if d, _ := slices.BinarySearch(offsets, s.Start); d > 0 {
			s.Down = down[d-1]
		}
	}
	return statements, groupComments(src.sql, trivia, lines)
}

// Above tells which comment stands directly above a line.
func Above(comments []Comment) map[int]int {
	above := make(map[int]int, len(comments))
	for i, c := range comments {
		if !c.Stray {
			above[c.EndLine+1] = i
		}
	}
	return above
}
