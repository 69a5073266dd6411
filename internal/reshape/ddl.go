// Package reshape gives a live table another shape: it owns the SQL of the shadow table, of the log
// of keys that live writes have touched, and of the swap.
//
// # Method
//
// The rows are copied into a shadow table that has the new shape, with all its constraints and
// indexes, a batch at a time. Triggers on the live table do no more than to note the keys of rows that
// are written in a log, which has no constraint: so a live write cannot fail because of the new shape,
// whatever its row would break there. (Triggers that mirror rows, as pt-online-schema-change has them, fail
// with the live write, and NEW is stale where a later trigger changes the same row.) The rows
// of the log are copied again from the table as it is then, as gh-ost does from the binary log.
//
// The swap replays what is left of the log and exchanges the two tables in sqlite_schema, in
// one transaction: triggers, views and foreign keys go by the name and stay where they are. Where
// writable_schema is forbidden (defensive mode) nothing begins.
package reshape

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// errDDL is what is wrong with a statement of the schema.
var errDDL = errors.New("not a statement that can be used here")

// tok is a token of a statement.
type tok struct {
	start, end int
	name       string // as a name, without quotes; "" for what is none
	word       string // in lower case, of a bare word
	depth      int    // of parentheses around it
}

// scan parts a statement into tokens, without spaces and comments.
func scan(text string) (toks []tok) {
	depth := 0
	for i := 0; i < len(text); {
		length, name := lite.Token(text[i:])
		t := tok{start: i, end: i + length, name: name, depth: depth}
		first := text[i]
		switch {
		case strings.IndexByte(" \t\r\n\f", first) >= 0, strings.HasPrefix(text[i:], "--"), strings.HasPrefix(text[i:], "/*"):
			i += length
			continue
		case first == '(':
			depth++
		case first == ')':
			depth--
			t.depth = depth
		case name != "" && first != '"' && first != '`' && first != '[':
			t.word = strings.ToLower(name)
		}
		toks = append(toks, t)
		i += length
	}
	return toks
}

// Statements parts a script into its statements, without the semicolons, where SQLite would part them: a
// CREATE TRIGGER goes on to the END that follows a semicolon.
func Statements(script string) (all []string) {
	var words []tok // of the statement
	trigger := false
	for _, t := range scan(script) {
		if script[t.start] != ';' {
			words = append(words, t)
			trigger = trigger || createsTrigger(words)
			continue
		}
		if n := len(words); trigger && !(n > 1 && words[n-1].word == "end" && script[words[n-2].start] == ';') {
			words = append(words, t)
			continue
		}

		if len(words) > 0 {
			all = append(all, script[words[0].start:words[len(words)-1].end])
		}
		words, trigger = nil, false
	}
	if len(words) > 0 {
		all = append(all, script[words[0].start:words[len(words)-1].end])
	}
	return all
}

// createsTrigger reports whether these are all the words with which a CREATE TRIGGER begins.
func createsTrigger(words []tok) bool {
	last := len(words) - 1
	if last < 1 || last > 2 || words[0].word != "create" || words[last].word != "trigger" {
		return false
	}
	return last == 1 || words[1].word == "temp" || words[1].word == "temporary"
}

// cursor reads tokens one after the other.
type cursor struct {
	text string
	toks []tok
	at   int
}

func (c *cursor) peek() tok {
	if c.at < len(c.toks) {
		return c.toks[c.at]
	}
	return tok{start: len(c.text), end: len(c.text)}
}

func (c *cursor) next() tok {
	t := c.peek()
	c.at++
	return t
}

// skip goes over words, if they are the next ones.
func (c *cursor) skip(words ...string) bool {
	for i, w := range words {
		if c.at+i >= len(c.toks) || c.toks[c.at+i].word != w {
			return false
		}
	}
	c.at += len(words)
	return true
}

func (c *cursor) is(symbol byte) bool {
	t := c.peek()
	return t.start < len(c.text) && c.text[t.start] == symbol
}

// nameAt reads [schema.]name.
func (c *cursor) nameAt() (from, to int, name string, err error) {
	t := c.next()
	if t.name == "" && t.end <= len(c.text) {
		t.name = lite.NameInText(c.text[t.start:t.end])
	}
	if t.name == "" {
		return 0, 0, "", fmt.Errorf("%w: no name in %q", errDDL, c.text)
	}
	from, to, name = t.start, t.end, t.name
	if c.is('.') {
		c.next()
		last := c.next()
		if !strings.EqualFold(name, "main") {
			return 0, 0, "", fmt.Errorf("%w: %q is of another database", errDDL, c.text)
		}
		to, name = last.end, last.name
	}
	return from, to, name, nil
}

// table is CREATE TABLE, taken apart.
type table struct {
	Name string
	rest string // after the name
}

func parseTable(text string) (table, error) {
	c := &cursor{text: text, toks: scan(text)}
	if !c.skip("create", "table") {
		return table{}, fmt.Errorf("%w: %q is no CREATE TABLE", errDDL, text)
	}
	c.skip("if", "not", "exists")
	_, to, name, err := c.nameAt()
	if err != nil {
		return table{}, err
	}
	if !c.is('(') {
		return table{}, fmt.Errorf("%w: the columns of %s are not written out", errDDL, name)
	}
	return table{Name: name, rest: text[to:]}, nil
}

// as is the statement for a table of another name. A CHECK may name columns by the table.
func (t table) as(name string) string {
	statement := "CREATE TABLE " + lite.Ident(name)
	if lite.SameName(name, t.Name) {
		return statement + t.rest
	}
	toks, end := scan(t.rest), 0
	for i, k := range toks {
		if i+1 < len(toks) && t.rest[toks[i+1].start] == '.' && lite.SameName(k.name, t.Name) {
			statement += t.rest[end:k.start] + lite.Ident(name)
			end = k.end
		}
	}
	return statement + t.rest[end:]
}

// autoincrement reports whether the table never gives a number twice.
func (t table) autoincrement() bool {
	return slices.ContainsFunc(scan(t.rest), func(t tok) bool { return t.word == "autoincrement" })
}

// collation is that of a column, "" where none is declared.
func (t table) collation(column string) string {
	toks := scan(t.rest)
	within := false
	for i, k := range toks {
		switch {
		case i > 0 && k.depth == 1 && (t.rest[toks[i-1].start] == '(' && toks[i-1].depth == 0 || t.rest[toks[i-1].start] == ','):
			within = lite.SameName(k.name, column)
		case within && k.depth == 1 && k.word == "collate" && i+1 < len(toks):
			return toks[i+1].name
		}
	}
	return ""
}

// strict reports whether the table is a STRICT one.
func (t table) strict() bool {
	return slices.ContainsFunc(scan(t.rest), func(t tok) bool { return t.depth == 0 && t.word == "strict" })
}

// index is CREATE INDEX, taken apart.
type index struct {
	Name, Table string
	unique      bool
	rest        string // after the table's name
}

// IndexIn returns the index that a CREATE INDEX makes, and its table.
func IndexIn(statement string) (name, table string, err error) {
	var ix index
	if all := Statements(statement); len(all) == 1 {
		ix, err = parseIndex(all[0])
	} else {
		err = fmt.Errorf("%w: %d statements in place of one CREATE INDEX", errDDL, len(all))
	}
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrShape, err)
	}
	return ix.Name, ix.Table, nil
}

func parseIndex(text string) (index, error) {
	c := &cursor{text: text, toks: scan(text)}
	var ix index
	if !c.skip("create") {
		return ix, fmt.Errorf("%w: %q is no CREATE INDEX", errDDL, text)
	}
	ix.unique = c.skip("unique")
	if !c.skip("index") {
		return ix, fmt.Errorf("%w: %q is no CREATE INDEX", errDDL, text)
	}
	c.skip("if", "not", "exists")
	var to int
	var err error
	if _, _, ix.Name, err = c.nameAt(); err != nil {
		return ix, err
	}
	if !c.skip("on") {
		return ix, fmt.Errorf("%w: no ON in %q", errDDL, text)
	}
	if _, to, ix.Table, err = c.nameAt(); err != nil {
		return ix, err
	}
	ix.rest = text[to:]
	return ix, nil
}

func (ix index) as(name, table string) string {
	unique := ""
	if ix.unique {
		unique = "UNIQUE "
	}
	return "CREATE " + unique + "INDEX " + lite.Ident(name) + " ON " + lite.Ident(table) + ix.rest
}

// terms are what the index is over, without collation and direction.
func (ix index) terms() (all []string) {
	toks := scan(ix.rest)
	from, end := 0, 0
	for i, t := range toks {
		symbol := ix.rest[t.start]
		switch {
		case t.depth == 0 && symbol == '(' && from == 0:
			from, end = t.end, t.end
		case t.depth == 1 && symbol == ',', t.depth == 0 && symbol == ')':
			all = append(all, term(ix.rest[from:end]))
			from, end = t.end, t.end
			if symbol == ')' {
				return all
			}
		case t.depth == 1 && (t.word == "asc" || t.word == "desc" || t.word == "collate"), i > 0 && t.depth == 1 && toks[i-1].word == "collate":
		default:
			end = t.end
		}
	}
	return all
}

// term is one of an index as an expression. A text by itself, also in parentheses, is a column there, and nowhere else.
func term(text string) string {
	text = strings.TrimSpace(text)
	var name string
	toks := scan(text)
	for i, t := range toks {
		switch token := text[t.start:t.end]; {
		case token == "(", token == ")", t.word == "collate", i > 0 && toks[i-1].word == "collate":
		case name == "" && lite.NameInText(token) != "":
			name = lite.NameInText(token)
		default:
			return text
		}
	}
	if name == "" {
		return text
	}
	return lite.Ident(name)
}

// withoutReferences is a CREATE TABLE without its foreign keys: while rows are copied, and when
// those of the old table are deleted, an action of theirs, or a check, would reach live writes.
func withoutReferences(text string) string {
	c := &cursor{text: text, toks: scan(text)}
	dropped := make([]bool, len(c.toks))
	for c.at < len(c.toks) {
		from := c.at
		if c.peek().depth == 1 && c.skip("constraint") {
			c.next() // its name
		}
		t := c.peek()
		switch {
		case t.depth == 1 && t.word == "foreign":
			for c.peek().word != "references" && c.at < len(c.toks) {
				c.next()
			}
			c.references()
		case t.depth == 1 && t.word == "references":
			c.references()
		default:
			c.at = from + 1
			continue
		}
		for i := from; i < min(c.at, len(dropped)); i++ {
			dropped[i] = true
		}
	}
	return c.without(dropped)
}

// without is the text without some of its tokens, nor a comma that has nothing to part any more.
func (c *cursor) without(dropped []bool) string {
	comma := -1 // the last of the commas that nothing has followed yet
	for i, t := range c.toks {
		if dropped[i] {
			continue
		}
		symbol := c.text[t.start]
		if comma >= 0 && (symbol == ',' && t.depth == 1 || symbol == ')' && t.depth == 0) {
			dropped[comma] = true
		}
		if comma = -1; symbol == ',' && t.depth == 1 {
			comma = i
		}
	}

	var b strings.Builder
	end := 0
	for i, t := range c.toks {
		space := c.text[end:t.start] // and comments
		if !dropped[i] || strings.TrimSpace(space) != "" {
			b.WriteString(space)
		}
		if end = t.end; !dropped[i] {
			b.WriteString(c.text[t.start:t.end])
		}
	}
	return b.String() + c.text[end:]
}

// references goes over a REFERENCES clause.
func (c *cursor) references() {
	c.next()
	c.next()
	if c.is('(') {
		for c.next(); !(c.is(')') && c.peek().depth == 1); {
			c.next()
		}
		c.next()
	}
	for {
		switch {
		case c.skip("on", "delete"), c.skip("on", "update"):
			if !c.skip("set", "null") && !c.skip("set", "default") && !c.skip("no", "action") {
				c.next() // CASCADE or RESTRICT
			}
		case c.skip("match"):
			c.next()
		case c.skip("not", "deferrable"), c.skip("deferrable"):
			if c.skip("initially") {
				c.next()
			}
		default:
			return
		}
	}
}
