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
			if first != '"' && first != '`' && first != '[' {
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

// normal is a list of tokens in the form in which they are compared.
func normal(tokens []token) string {
	same := make([]string, len(tokens))
	for i, t := range tokens {
		same[i] = t.same
	}
	return strings.Join(same, " ")
}

// normalText is a whole statement in the form in which it is compared.
func normalText(text string) string {
	tokens := scan(text)
	at := slices.IndexFunc(tokens, func(t token) bool { return t.word == "if" })
	if at > 0 && at < 4 && at+2 < len(tokens) && tokens[at+1].word == "not" && tokens[at+2].word == "exists" {
		tokens = slices.Delete(tokens, at, at+3)
	}
	return normal(tokens)
}

// mentions reports whether a statement has a name in it.
func mentions(text, name string) bool {
	return slices.ContainsFunc(scan(text), func(t token) bool { return t.name != "" && lite.SameName(t.name, name) })
}
