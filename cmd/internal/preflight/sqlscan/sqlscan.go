// Package sqlscan finds the statements of a SQL text whose cost grows with a table, and
// what the text alone says about that cost. Only this package knows the parser; text that
// the parser rejects is judged by its tokens.
//
// Call [Parse] for a string of a program, [ParseFile] for a SQL file.
package sqlscan

// Hole stands for a part of the SQL that is known only at run time: a verb of a format, or
// an operand that is not a constant. SQLite's tokenizer takes it for a name, so that a
// statement with holes can still be parsed.
const Hole = "…"

// Kind says what a statement does.
type Kind int

const (
	None Kind = iota // not relevant, or not SQL
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
	Unread       // its effect is not known
	DropTable    // kinds from here on cost nothing worth a decision, but define tables
	DropIndex
	Insert // of values that are parameters
)

// Costs reports whether the running time of such a statement may grow with a table.
func (k Kind) Costs() bool { return k > None && k < DropTable && k != CreateTable }

// Tells reports whether such a statement only defines tables.
func (k Kind) Tells() bool { return k >= DropTable }

// Cost says what a statement's running time grows with.
type Cost string

const (
	Metadata Cost = "metadata" // only the schema changes
	Scan     Cost = "scan"     // every row is read, the table is not written
	Rewrite  Cost = "rewrite"  // every matching row is read and written
	Unknown  Cost = "unknown"  // it could not be parsed
)

// Statement is one statement of a text. Offsets are in bytes of the text.
type Statement struct {
	Kind     Kind
	Cost     Cost
	Database string // the qualifier before the table, "" for the main database
	Table    string // the table it reads or writes; "" if unknown
	Target   string // the table it writes, if that is not the one it reads
	Start    int    // start of the first token
	End      int    // end of the last token, without the semicolon
	Line     int    // line of Start, from 1
	Down     bool   // it is part of a down migration

	IfNotExists bool
	Schema      bool       // a CREATE TABLE with all of its keys in Keys and columns in Columns
	Columns     []string   // in lower case, like all column names here
	Keys        [][]string // sets of columns that a CREATE TABLE or CREATE UNIQUE INDEX makes unique
	Pinned      []string   // columns of Table that it compares for equality with values
	Lookups     []Lookup   // columns of Table that it compares for equality with a query
	Index       string     // the index it creates or drops
	Virtual     string     // module of a CREATE VIRTUAL TABLE
	Command     string     // command to a virtual table; "" if known only at run time
	Action      string     // action of an ALTER TABLE, in SQL's words
	Bulk        bool       // an Insert of more rows than are written out
	Column      string     // the column that an ALTER TABLE renames or drops
	NewName     string     // the new name that an ALTER TABLE gives
	Problem     string     // why it is Unread
	Dialect     string     // the other database whose statement it must be
	Slip        bool       // it may also be a mistake
	Job         Job        // the same as a chunked job, for Update and Delete

	// Certain is false for text that may just as well be prose: it was not parsed and has
	// only the first words of a statement, or it is no more than a word or two.
	Certain bool
}

// Lookup is a condition column = (SELECT …). The query has a single value if none of its
// columns belongs to the row being tested.
type Lookup struct {
	Columns []string
	Tables  []string // tables that the query reads
	Names   []string // columns in it that are not qualified by a table
}

// Comment is a run of "--" comments on lines of their own, or a single comment of another
// form.
type Comment struct {
	Start         int // offset of the first comment
	Line, EndLine int // from 1
	Lines         []string
	Stray         bool // after a statement on its line, or a /* */ comment
}

// Above returns, for each line, the index of the comment directly above it.
func Above(comments []Comment) map[int]int {
	above := make(map[int]int, len(comments))
	for i, c := range comments {
		if !c.Stray {
			above[c.EndLine+1] = i
		}
	}
	return above
}
