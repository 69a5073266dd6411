package schemadiff

import (
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// written is what only the text of a CREATE TABLE tells.
type written struct {
	columns map[string]writtenColumn // by folded name
	checks  []string
	keys    map[string]string // ON CONFLICT of the PRIMARY KEY ("") and of UNIQUE over columns
	foreign []string          // DEFERRABLE of each foreign key, in the order of the text
	counts  bool              // AUTOINCREMENT
}

// writtenColumn is what only the text tells of a column.
type writtenColumn struct {
	text  string // its definition
	extra string // COLLATE, GENERATED and ON CONFLICT, to be compared

	generated, stored, unique, references, check, notNull bool
	defaults                                              string // the value of DEFAULT, in its normal form
}

// clauses reads the constraints of a column, or of the table.
type clauses struct {
	tokens []token
	at     int
	to     *written
	names  names          // that an expression may use
	column *writtenColumn // nil for those of the table
	name   string         // folded, of that column
}

// parseTable takes the text of a CREATE TABLE, which SQLite has accepted, apart.
func parseTable(text string) written {
	w := written{columns: map[string]writtenColumn{}, keys: map[string]string{}}
	tokens := scan(text)
	all, own := items(tokens), names{"rowid": true, "oid": true, "_rowid_": true}
	for _, t := range tokens[:min(8, len(tokens))] { // the name of the table is among them
		if t.same == "(" {
			break
		}
		own.add(t.name)
	}
	for _, item := range all {
		own.add(fold(item[0]))
	}

	for _, item := range all {
		switch item[0].word {
		case "constraint", "primary", "unique", "check", "foreign":
			c := clauses{tokens: item, to: &w, names: own}
			c.read()
		default:
			column := writtenColumn{text: strings.TrimSpace(text[item[0].start:item[len(item)-1].end])}
			c := clauses{tokens: item[1:], to: &w, names: own, column: &column, name: fold(item[0])}
			for c.at < len(c.tokens) && !begins[c.tokens[c.at].word] { // its type
				c.at++
			}
			c.read()
			w.columns[c.name] = column
		}
	}
	return w
}

func fold(t token) string {
	name := t.name
	if name == "" {
		name = lite.NameInText(t.same)
	}
	return lite.FoldName(name)
}

// items are what stands between the outer parentheses, parted by commas.
func items(tokens []token) (all [][]token) {
	from, outer := -1, 0
	for i, t := range tokens {
		switch {
		case from < 0 && t.same == "(":
			from, outer = i+1, t.depth
		case from >= 0 && (t.depth == outer+1 && t.same == "," || t.depth == outer && t.same == ")"):
			if i > from {
				all = append(all, tokens[from:i])
			}
			if from = i + 1; t.same == ")" {
				return all
			}
		}
	}
	return all
}

// begins are the words with which a constraint of a column begins.
var begins = map[string]bool{"constraint": true, "primary": true, "not": true, "null": true, "unique": true, "check": true, "default": true,
	"collate": true, "references": true, "generated": true, "as": true}

func (c *clauses) peek() token {
	if c.at < len(c.tokens) {
		return c.tokens[c.at]
	}
	return token{}
}

func (c *clauses) skip(words ...string) bool {
	for i, word := range words {
		if c.at+i >= len(c.tokens) || c.tokens[c.at+i].word != word {
			return false
		}
	}
	c.at += len(words)
	return true
}

// group reads what stands in parentheses, with them.
func (c *clauses) group() []token {
	from, depth := c.at, c.peek().depth
	for c.at++; c.at < len(c.tokens); c.at++ {
		if c.tokens[c.at].same == ")" && c.tokens[c.at].depth == depth {
			c.at++
			break
		}
	}
	return c.tokens[min(from, len(c.tokens)):min(c.at, len(c.tokens))]
}

// conflict reads ON CONFLICT, "" where there is none.
func (c *clauses) conflict() string {
	if !c.skip("on", "conflict") {
		return ""
	}
	c.at++
	if how := c.tokens[c.at-1].word; how != "abort" { // which is what SQLite does anyway
		return how
	}
	return ""
}

// columns reads a list of columns, folded, without collation and direction.
func (c *clauses) columns() string {
	var names []string
	for _, item := range items(c.group()) {
		names = append(names, fold(item[0]))
	}
	return strings.Join(names, ",")
}

func (c *clauses) read() {
	named := ""
	for c.at < len(c.tokens) {
		switch {
		case c.skip("constraint"):
			named = fold(c.peek()) + " "
			c.at++
			continue
		case c.skip("check"):
			c.to.checks = append(c.to.checks, named+c.names.normal(c.group()))
			c.conflict()
			if c.column != nil {
				c.column.check = true
			}
		case c.skip("primary", "key"), c.skip("unique"):
			c.key(c.tokens[c.at-1].word == "key")
		case c.skip("foreign", "key"):
			c.group()
		case c.skip("references"):
			c.references()
		case c.column != nil && c.ofColumn():
		default:
			c.at++
		}
		named = ""
	}
}

// key reads PRIMARY KEY or UNIQUE, after these words.
func (c *clauses) key(primary bool) {
	over := c.name
	if c.column == nil {
		over = c.columns()
	} else {
		_ = c.skip("asc") || c.skip("desc")
		c.column.unique = true
	}
	if primary {
		over = ""
	}
	if how := c.conflict(); how != "" {
		c.to.keys[over] = how
	}
	c.to.counts = c.skip("autoincrement") || c.to.counts
}

// references reads a foreign key, after the word REFERENCES, for when it is checked.
func (c *clauses) references() {
	c.at++
	if c.peek().same == "(" {
		c.group()
	}
	when := ""
	for {
		switch {
		case c.skip("on", "delete"), c.skip("on", "update"):
			if !c.skip("set", "null") && !c.skip("set", "default") && !c.skip("no", "action") {
				c.at++
			}
		case c.skip("match"):
			c.at++
		case c.skip("not", "deferrable"):
			_ = c.skip("initially", "deferred") || c.skip("initially", "immediate")
		case c.skip("deferrable"):
			when = ""
			if c.skip("initially", "deferred") {
				when = "deferred"
			}
			c.skip("initially", "immediate")
		default:
			c.to.foreign = append(c.to.foreign, when)
			if c.column != nil {
				c.column.references = true
			}
			return
		}
	}
}

// ofColumn reads what only a column can have.
func (c *clauses) ofColumn() bool {
	switch {
	case c.skip("not", "null"):
		c.column.notNull = true
		if how := c.conflict(); how != "" {
			c.column.extra += " not null on conflict " + how
		}
	case c.skip("null"):
		c.conflict()
	case c.skip("default"):
		from := c.at
		switch c.peek().same {
		case "(":
			c.group()
		case "+", "-":
			c.at++
			fallthrough
		default:
			c.literal()
		}
		c.column.defaults = none.normal(c.tokens[from:c.at])
	case c.skip("collate"):
		if name := fold(c.peek()); name != "binary" {
			c.column.extra += " collate " + name
		}
		c.at++
	case c.skip("generated", "always", "as"), c.skip("as"):
		c.column.extra += " as " + c.names.normal(c.group())
		c.column.generated = true
		if c.column.stored = c.skip("stored"); !c.column.stored {
			c.skip("virtual")
		}
	default:
		return false
	}
	return true
}

// literal reads one, which may be more than one token: 1.5, x'00'.
func (c *clauses) literal() {
	c.at++
	for c.at < len(c.tokens) && c.tokens[c.at].start == c.tokens[c.at-1].end {
		c.at++
	}
}
