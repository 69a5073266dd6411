package sqlscan

import (
	"sort"
	"strings"

	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/token"
)

func lex(sql string) (tokens, trivia []token.Token) {
	tokens, trivia = lexer.LexFile(sql)
	return tokens[:len(tokens)-1], trivia // the last one is the end
}

// split cuts tokens at semicolons. Those inside a trigger's body do not end it;
// a body that does not end itself hides nothing.
func split(tokens []token.Token) (parts [][]token.Token) {
	start, body := 0, false
	for i, t := range tokens {
		switch {
		case t.Kind == token.BEGIN && trigger(tokens[start:i]):
			body = true
		case t.Kind == token.SEMI && (!body || closed(tokens[start:i])):
			parts = appendPart(parts, tokens[start:i])
			start, body = i+1, false
		}
	}
	if body {
		return append(parts, split(tokens[start+1:])...) // without CREATE it is no trigger
	}
	return appendPart(parts, tokens[start:])
}

func appendPart(parts [][]token.Token, part []token.Token) [][]token.Token {
	if len(part) == 0 {
		return parts
	}
	return append(parts, part)
}

// trigger reports whether the tokens begin a CREATE TRIGGER.
func trigger(part []token.Token) bool {
	return len(part) > 2 && part[0].Kind == token.CREATE &&
		(part[1].Kind == token.TRIGGER || part[1].Kind == token.TEMP && part[2].Kind == token.TRIGGER)
}

// closed is SQLite's own rule for the end of a trigger: ";" END ";".
func closed(part []token.Token) bool {
	n := len(part)
	return part[n-1].Kind == token.END && part[n-2].Kind == token.SEMI
}

// Lines tells lines and columns from offsets.
type Lines []int // offsets of the newlines

// NewLines reads where the lines of a text end.
func NewLines(text string) (l Lines) {
	for i := range len(text) {
		if text[i] == '\n' {
			l = append(l, i)
		}
	}
	return l
}

// Place is the line and the column, in bytes, of an offset; both count from 1.
func (l Lines) Place(offset int) (line, column int) {
	i := sort.SearchInts(l, offset)
	if i == 0 {
		return 1, offset + 1
	}
	return i + 1, offset - l[i-1]
}

func (l Lines) at(offset int) int {
	line, _ := l.Place(offset)
	return line
}

// groupComments joins "--" comments on successive lines, as go/ast joins "//".
func groupComments(sql string, trivia []token.Token, lines Lines) (groups []Comment) {
	for _, t := range trivia {
		if t.Kind != token.COMMENT {
			continue
		}
		c := comment(sql, t, lines)
		if last := len(groups) - 1; last >= 0 && !c.Stray && !groups[last].Stray && groups[last].EndLine+1 == c.Line {
			groups[last].EndLine = c.EndLine
			groups[last].Lines = append(groups[last].Lines, c.Lines...)
			continue
		}
		groups = append(groups, c)
	}
	return groups
}

func comment(sql string, t token.Token, lines Lines) Comment {
	text := t.Text(sql)
	body, dashes := strings.CutPrefix(text, "--")
	if !dashes {
		body = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
	}
	body = strings.TrimRight(body, "\r\n")
	return Comment{
		Start: t.Pos, Line: lines.at(t.Pos), EndLine: lines.at(t.Pos + len(strings.TrimRight(text, "\n")) - 1),
		Lines: strings.Split(body, "\n"), Stray: !dashes || !beginsLine(sql, t.Pos),
	}
}

func beginsLine(sql string, offset int) bool {
	before := strings.TrimRight(sql[:offset], " \t\f\v")
	return before == "" || before[len(before)-1] == '\n'
}
