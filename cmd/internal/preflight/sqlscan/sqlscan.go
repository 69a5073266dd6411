// Package sqlscan finds the statements of an SQL text whose cost grows with a
// table, and what is known of that cost from the text alone. It alone knows the
// parser; what the parser refuses is judged by its tokens.
package sqlscan

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
)

// Cost says what a statement's time grows with.
type Cost string

const (
	Metadata Cost = "metadata" // the schema alone
	Scan     Cost = "scan"     // every row is read, the table is not written
	Rewrite  Cost = "rewrite"  // every row that qualifies is read and written
)

// Statement is one statement of a text. Offsets are bytes of the text.
type Statement struct {
	Kind  Kind
	Cost  Cost
	Table string // which it reads or writes all of; "" when it cannot be told
	Start int    // of the first token
	End   int    // of the last token, the semicolon left out
	Line  int    // of Start, from 1

	IfNotExists bool
	Schema      bool       // a CREATE TABLE, all of whose keys are in Keys
	Keys        [][]string // columns that a CREATE TABLE or CREATE UNIQUE INDEX makes unique, in lower case
	Pinned      []string   // columns of Table that it holds equal to values, in lower case
	Action      string     // of an ALTER TABLE, as SQL says it
	Job         Job        // the same as a chunked job, for Update and Delete

	// Certain is false for what may as well be prose: it was not parsed and has
	// only the first words of a statement, or it is no more than a word or two.
	Certain bool
}

// Comment is a run of "--" comments on lines of their own, or one comment of
// another kind.
type Comment struct {
	Start         int // offset of the first
	Line, EndLine int // from 1
	Lines         []string
	Stray         bool // behind a statement on its line, or a /* */ comment
}

// Parse splits a text into statements and leaves out those of no interest.
func Parse(sql string) (statements []Statement, comments []Comment) {
	tokens, trivia := lex(sql)
	for _, part := range split(tokens) {
		if s := judge(sql, part); s.Kind != None {
			statements = append(statements, s)
		}
	}
	lines := NewLines(sql)
	for i := range statements {
		statements[i].Line = lines.at(statements[i].Start)
	}
	return statements, groupComments(sql, trivia, lines)
}

// Above is the comment directly above the statement, if it is among comments.
func (s Statement) Above(comments []Comment) (int, bool) {
	for i, c := range comments {
		if !c.Stray && c.EndLine+1 == s.Line {
			return i, true
		}
	}
	return 0, false
}
