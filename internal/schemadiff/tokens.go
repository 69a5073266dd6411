// Package schemadiff compares the schema of a database with the one that is wanted, and plans
// the way from one to the other: which statements are only a change of the schema, and which
// must be jobs because they read or write every row.
//
// # Comparing
//
// Two tables are the same if SQLite treats them the same: columns, keys, indexes and foreign
// keys are compared as the pragmas give them, and what no pragma shows (CHECK, COLLATE, ON
// CONFLICT, GENERATED, DEFERRABLE, AUTOINCREMENT, triggers, views) by the tokens of its text in
// sqlite_schema. White space, comments, quotes, the case of names and the place where a
// constraint is written are no differences.
//
// # Planning
//
// The plan is played on an empty copy of the schema in memory, change by change, and is one
// only if the copy is then what is wanted. What cannot be played is refused, by name.
package schemadiff

import (
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// token is one of a statement.
type token struct {
	start, end int
	same       string // equal for tokens that mean the same
	name       string // as a name, without quotes; "" for what is none
	word       string // in lower case, of a bare word
	quoted     bool   // in double quotes: SQLite takes it for a text where nothing has that name
	depth      int    // of parentheses around it
}

// scan parts a text into tokens, without spaces and comments.
func scan(text string) (tokens []token) {
	depth := 0
	for i := 0; i < len(text); {
		length, name := lite.Token(text[i:])
		t := token{start: i, end: i + length, name: name, depth: depth, same: text[i : i+length]}
		i += length

		switch first := t.same[0]; {
		case strings.IndexByte(" \t\r\n\f", first) >= 0, strings.HasPrefix(t.same, "--"), strings.HasPrefix(t.same, "/*"):
			continue
		case first == '(':
			depth++
		case first == ')':
			depth--
			t.depth = depth
		case name != "":
			t.quoted = first == '"'
			if !t.quoted && first != '`' && first != '[' {
				t.word = lite.FoldName(name)
			}
			if t.same = lite.Ident(lite.FoldName(name)); keywords[t.word] {
				t.same = t.word
			}
		case '0' <= first && first <= '9':
			t.same = strings.ToLower(t.same)
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// keywords are the words that are no names unless they are quoted.
var keywords = func() map[string]bool {
	all := map[string]bool{}
	for _, word := range strings.Fields(`add all alter and as autoincrement between case check collate commit constraint create
		default deferrable delete distinct drop else escape exists foreign from group having in index insert into is isnull join
		limit not nothing notnull null on or order primary references returning select set table then to transaction union unique
		update using values when where`) {
		all[word] = true
	}
	return all
}()

// names are those that a text may use, folded.
type names map[string]bool

var none names

func (n names) add(all ...string) {
	for _, name := range all {
		n[lite.FoldName(name)] = true
	}
}

// normal is a list of tokens in the form in which they are compared. A word in double quotes that is none of the
// names is a text, in which the case of letters matters.
func (n names) normal(tokens []token) string {
	same := make([]string, len(tokens))
	for i, t := range tokens {
		if same[i] = t.same; t.quoted && !n[lite.FoldName(t.name)] {
			same[i] = textOf(t.name)
		}
	}
	return strings.Join(same, " ")
}

// normalText is a whole statement in the form in which it is compared.
func (n names) normalText(text string) string {
	tokens := scan(text)
	at := slices.IndexFunc(tokens, func(t token) bool { return t.word == "if" })
	if at > 0 && at < 4 && at+2 < len(tokens) && tokens[at+1].word == "not" && tokens[at+2].word == "exists" {
		tokens = slices.Delete(tokens, at, at+3)
	}
	return n.normal(tokens)
}

// normalIndex is an index of a table that has these names.
func (n names) normalIndex(o object) string {
	tokens := scan(o.sql)
	unique := ""
	if len(tokens) > 1 && tokens[1].word == "unique" {
		unique = "unique "
	}
	terms := slices.IndexFunc(tokens, func(t token) bool { return t.same == "(" })
	return unique + "index " + lite.FoldName(o.name) + " on " + lite.FoldName(o.table) + " " + n.normal(tokens[max(0, terms):])
}

// normalDefault is the value of a DEFAULT, in which no word is a name.
func normalDefault(text string) string {
	tokens := scan(text)
	if len(tokens) == 1 && tokens[0].name != "" && !constants[tokens[0].word] {
		return textOf(tokens[0].name)
	}
	return none.normal(tokens)
}

// constants are the words that are no texts as a DEFAULT.
var constants = map[string]bool{"null": true, "true": true, "false": true, "current_time": true, "current_date": true, "current_timestamp": true}

// textOf is a text as a literal.
func textOf(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// in reports whether a statement has one of the names in it.
func (n names) in(text string) bool {
	return slices.ContainsFunc(scan(text), func(t token) bool { return t.name != "" && n[lite.FoldName(t.name)] })
}
