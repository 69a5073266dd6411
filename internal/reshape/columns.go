package reshape

import (
	"slices"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// columnText is a column of a CREATE TABLE, as it is written there.
type columnText struct {
	name      string
	decl      string // the type; "" for none
	collation string // "" for none
	def       string // of DEFAULT; "" for none
	generated string // the expression, in parentheses; "" for none
}

// columnTexts reads the columns of a table.
func (t table) columnTexts() (all []columnText) {
	for _, item := range t.items() {
		if item[0].word != "" && slices.Contains([]string{"constraint", "primary", "unique", "check", "foreign"}, item[0].word) {
			continue
		}
		all = append(all, t.columnText(item))
	}
	return all
}

// items are the parts between the commas of the statement.
func (t table) items() (all [][]tok) {
	var item []tok
	for _, k := range scan(t.rest) {
		symbol := t.rest[k.start]
		switch {
		case k.depth == 0 && symbol == '(':
		case k.depth == 0 && symbol == ')', k.depth == 1 && symbol == ',':
			if len(item) > 0 {
				all = append(all, item)
			}
			item = nil
			if k.depth == 0 {
				return all
			}
		default:
			item = append(item, k)
		}
	}
	return all
}

// endType are the words behind which a column's type is over.
var endType = []string{"constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references", "generated", "as"}

func (t table) columnText(item []tok) columnText {
	c := columnText{name: item[0].name}
	if c.name == "" {
		c.name = lite.NameInText(t.rest[item[0].start:item[0].end])
	}
	at := 1
	for at < len(item) && !(item[at].depth == 1 && slices.Contains(endType, item[at].word)) {
		at++
	}
	if at > 1 {
		c.decl = t.rest[item[1].start:item[at-1].end]
	}

	for ; at < len(item); at++ {
		if item[at].depth != 1 || at+1 == len(item) {
			continue
		}
		switch item[at].word {
		case "constraint":
			at++ // its name may be one of these words
		case "collate":
			c.collation = item[at+1].name
		case "as":
			c.generated = t.group(item[at+1:])
		case "default":
			if c.def = t.group(item[at+1:]); c.def == "" {
				c.def = t.literal(item[at+1:])
			}
		}
	}
	return c
}

// group is the text in parentheses, with them, that begins with the first token; "" if none does.
func (t table) group(toks []tok) string {
	if t.rest[toks[0].start] != '(' {
		return ""
	}
	for _, k := range toks[1:] {
		if k.depth == toks[0].depth && t.rest[k.start] == ')' {
			return t.rest[toks[0].start:k.end]
		}
	}
	return ""
}

// literal is a value with its sign: 1.5 is three tokens without a space.
func (t table) literal(toks []tok) string {
	last := 0
	if sign := t.rest[toks[0].start]; (sign == '-' || sign == '+') && len(toks) > 1 {
		last = 1
	}
	for last+1 < len(toks) && toks[last+1].start == toks[last].end {
		last++
	}
	return t.rest[toks[0].start:toks[last].end]
}

// checks are the expressions of CHECK, of columns and of the table, in parentheses.
func (t table) checks() (all []string) {
	for _, item := range t.items() {
		for i, k := range item {
			named := i > 0 && item[i-1].word == "constraint"
			if k.depth == 1 && k.word == "check" && !named && i+1 < len(item) {
				all = append(all, t.group(item[i+1:]))
			}
		}
	}
	return all
}
