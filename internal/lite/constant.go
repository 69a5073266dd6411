package lite

import (
	"context"
	"regexp"
	"strings"
)

// StringsInQuotes returns the double-quoted words of a fragment that SQLite takes for texts,
// since no column has that name. SQLite itself tells: in other quotes such a word is a name
// or an error.
func StringsInQuotes(ctx context.Context, q Querier, table, fragment string) (words []string) {
	for at := 0; at < len(fragment); {
		length, name := Token(fragment[at:])
		if fragment[at] == '"' {
			as := fragment[:at] + "`" + strings.ReplaceAll(name, "`", "``") + "`" + fragment[at+length:]
			if compileSelect(ctx, q, "("+as+"\n) FROM "+Main(table)) != nil {
				words = append(words, name)
			}
		}
		at += length
	}
	return words
}

// NamesColumn reports whether an expression names a column of the table, or its rowid.
func (t Table) NamesColumn(fragment string) bool {
	names := Names(fragment)
	for _, c := range t.Columns {
		if names[FoldName(c.Name)] {
			return true
		}
	}
	return !t.WithoutRowid && (names["rowid"] || names["_rowid_"] || names["oid"])
}

// IsLiteral reports whether an expression is nothing but a value that is written out, or an
// argument.
func IsLiteral(fragment string) bool { return plain.MatchString(strings.TrimSpace(fragment)) }

var plain = regexp.MustCompile(`(?is)^(?:[+-]?\s*[0-9.][0-9a-fx_.]*(?:e[+-]?[0-9]+)?|x?'(?:[^']|'')*'|null|true|false|[?:@$][0-9a-z_]*)$`)
