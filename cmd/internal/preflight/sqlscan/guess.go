package sqlscan

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/token"
)

// word is a token with its text in upper case.
type word struct {
	upper, text string
	quoted      byte // the quote that it begins with
	name        bool // may name a table
}

func words(sql string, part []token.Token) []word {
	list := make([]word, len(part))
	for i, t := range part {
		text := t.Text(sql)
		list[i] = word{strings.ToUpper(text), unquote(text), 0, token.IsName(t.Kind) || token.CanFallback(t.Kind)}
		if strings.IndexByte("'\"`[", text[0]) >= 0 {
			list[i].quoted = text[0]
		}
	}
	return list
}

// isHole reports whether a word is just a hole, of any width.
func isHole(text string) bool { return strings.TrimRight(text, "_0123456789") == Hole }

// harmlessInsert reports whether words insert values that are supplied at run time: INSERT
// INTO t (a) VALUES …
func harmlessInsert(w []word) bool {
	values := find(w, "VALUES")
	return (w[0].upper == "INSERT" || w[0].upper == "REPLACE") && find(w, "INTO") > 0 && values > 2 && findOuter(w[values:], "SELECT") < 0 &&
		slices.ContainsFunc(w[values:], func(x word) bool { return hole(x.text) })
}

// closed reports whether a quoted word has its closing quote.
func (w word) closed() bool {
	end := w.quoted
	if end == '[' {
		end = ']'
	}
	return len(w.upper) > 1 && w.upper[len(w.upper)-1] == end
}

func unquote(text string) string { return strings.Trim(text, "\"`[]'") }

// guess judges a statement that the parser rejected: one in another dialect, one truncated
// where a program goes on building it, or a sentence. It assumes the worst, so the cost is
// never less than that of the real statement.
func guess(w []word) Statement {
	switch w[0].upper {
	case "CREATE":
		return guessCreate(w[1:])
	case "ALTER":
		return guessAlter(w)
	case "UPDATE":
		return guessUpdate(skipOr(w[1:]))
	case "DELETE":
		return guessDelete(w)
	case "INSERT", "REPLACE":
		return guessInsert(w)
	case "WITH":
		return guessWith(w)
	case "REINDEX":
		return Statement{Kind: Reindex, Cost: Scan}
	case "VACUUM":
		return Statement{Kind: Vacuum, Cost: Rewrite}
	}
	return Statement{}
}

func guessCreate(w []word) Statement {
	for len(w) > 0 && (isHole(w[0].text) || slices.Contains([]string{"UNIQUE", "TEMP", "TEMPORARY"}, w[0].upper)) {
		w = w[1:]
	}
	if len(w) < 2 {
		return Statement{}
	}
	ifNotExists := w[1].upper == "IF"
	switch w[0].upper {
	case "INDEX":
		on := find(w, "ON")
		return Statement{Kind: CreateIndex, Cost: Scan, IfNotExists: ifNotExists, Table: nameAt(w, on+1),
			Certain: on > 0 && find(w[on:], "(") > 1}
	case "TABLE":
		return guessCreateTable(w, ifNotExists)
	}
	return Statement{}
}

func guessCreateTable(w []word, ifNotExists bool) Statement {
	name := 1
	if ifNotExists {
		name = 4
	}
	s := Statement{Kind: CreateTable, Cost: Metadata, Table: nameAt(w, name), IfNotExists: ifNotExists}
	if as := find(w, "AS"); as > 0 && find(w[as:], "SELECT") > 0 && find(w[:as], "(") < 0 {
		s.Kind, s.Cost, s.Certain = CreateTableAs, Rewrite, true
	}
	return s
}

func guessAlter(w []word) Statement {
	s := Statement{Kind: AlterTable, Cost: Rewrite, Action: "ALTER TABLE", Table: nameAt(w, 2)}
	if len(w) < 2 || w[1].upper != "TABLE" {
		return Statement{}
	}
	action := 3
	if len(w) > 4 && w[3].upper == "." {
		s.Table, action = nameAt(w, 4), 5
	}
	s.Certain = len(w) > action && slices.Contains([]string{"ADD", "DROP", "RENAME", "ALTER", Hole}, w[action].upper)
	return s
}

// skipOr skips OR IGNORE and the like.
func skipOr(w []word) []word {
	if len(w) > 2 && w[0].upper == "OR" {
		return w[2:]
	}
	return w
}

func guessUpdate(w []word) Statement {
	set := find(w, "SET")
	if set < 1 {
		return Statement{}
	}
	s := Statement{Kind: Update, Cost: Rewrite, Table: nameAt(w, 0)}
	next := w[set+1:]
	named := set == 1 || slices.Contains([]string{".", "AS", "INDEXED", "NOT"}, w[1].upper)
	s.Certain = named && (len(next) == 0 || hole(next[0].text) || next[0].upper == "(" || len(next) > 1 && next[1].upper == "=")
	return s
}

func guessDelete(w []word) Statement {
	if len(w) < 3 || w[1].upper != "FROM" {
		return Statement{}
	}
	s := Statement{Kind: Delete, Cost: Rewrite, Table: nameAt(w, 2)}
	next := w[3:]
	if len(next) > 1 && next[0].upper == "." {
		s.Table, next = nameAt(next, 1), next[2:]
	}
	s.Certain = len(next) == 0 || hole(next[0].text) ||
		slices.Contains([]string{"WHERE", "AS", "INDEXED", "NOT", "RETURNING", "ORDER", "LIMIT"}, next[0].upper)
	return s
}

func guessInsert(w []word) Statement {
	into, query := find(w, "INTO"), find(w, "SELECT")
	if into < 0 || query < into || find(w[query:], "FROM") < 0 || findOuter(w, "VALUES") > into && findOuter(w, "SELECT") < 0 {
		return Statement{}
	}
	from := query + find(w[query:], "FROM")
	return Statement{Kind: InsertSelect, Cost: Rewrite, Table: nameAt(w, from+1), Certain: w[into+2].upper != ","}
}

// guessWith finds the statement after the common table expressions.
func guessWith(w []word) Statement {
	depth := 0
	for i, x := range w {
		switch x.upper {
		case "(":
			depth++
		case ")":
			depth--
		case "UPDATE", "DELETE", "INSERT", "REPLACE":
			if depth == 0 {
				return guess(w[i:])
			}
		}
	}
	return Statement{}
}

func find(w []word, upper string) int {
	return slices.IndexFunc(w, func(x word) bool { return x.upper == upper })
}

// findOuter finds a word outside parentheses.
func findOuter(w []word, upper string) int {
	depth := 0
	return slices.IndexFunc(w, func(x word) bool {
		switch x.upper {
		case "(":
			depth++
		case ")":
			depth--
		}
		return depth == 0 && x.upper == upper
	})
}

func nameAt(w []word, i int) string {
	if i < 0 || i >= len(w) || !w[i].name {
		return ""
	}
	return w[i].text
}
