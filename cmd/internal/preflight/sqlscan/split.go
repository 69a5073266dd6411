package sqlscan

import (
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/sqlc-dev/meyer/token"
)

// split splits tokens at semicolons. Those inside a trigger's body do not end the trigger.
// A body without an end hides nothing: it ends at the first statement that a body cannot
// contain, and what looked like its contents is split again.
func split(tokens []token.Token) (parts [][]token.Token) {
	start, body := 0, false
	for i, t := range tokens {
		switch {
		case t.Kind == token.BEGIN && trigger(tokens[start:i]):
			body = true
		case t.Kind == token.SEMI && body && !closed(tokens[start:i]) && (i+1 == len(tokens) || !inBody(tokens[i+1])):
			parts = append(parts, plain(tokens[start:i])...)
			start, body = i+1, false
		case t.Kind == token.SEMI && (!body || closed(tokens[start:i])):
			parts = append(parts, tokens[start:i])
			start, body = i+1, false
		}
	}
	if body && !closed(tokens[start:]) {
		parts = append(parts, plain(tokens[start:])...)
	} else {
		parts = append(parts, tokens[start:])
	}
	return slices.DeleteFunc(parts, func(p []token.Token) bool { return len(p) == 0 })
}

// plain splits at every semicolon.
func plain(tokens []token.Token) (parts [][]token.Token) {
	start := 0
	for i, t := range tokens {
		if t.Kind == token.SEMI {
			parts = append(parts, tokens[start:i])
			start = i + 1
		}
	}
	return append(parts, tokens[start:])
}

// inBody reports whether a token begins a statement that a trigger can contain, or ends its
// body.
func inBody(t token.Token) bool {
	return slices.Contains([]token.Kind{token.SELECT, token.INSERT, token.UPDATE, token.DELETE, token.REPLACE, token.WITH,
		token.VALUES, token.END, token.SEMI}, t.Kind)
}

// trigger reports whether the tokens begin a CREATE TRIGGER.
func trigger(part []token.Token) bool {
	return len(part) > 2 && part[0].Kind == token.CREATE &&
		(part[1].Kind == token.TRIGGER || part[1].Kind == token.TEMP && part[2].Kind == token.TRIGGER)
}

// closed reports whether a trigger ends here, by SQLite's own rule: ";" END ";".
func closed(part []token.Token) bool {
	n := len(part)
	return n > 1 && part[n-1].Kind == token.END && part[n-2].Kind == token.SEMI
}

// boundary matches comments at which migration tools split a file, whatever is around them.
var boundary = regexp.MustCompile(`(?i)^--\s*(?:\+(?:goose|migrate)\s+Statement(?:Begin|End)|\+(?:goose|migrate|dbmate)\s+(?:up|down)|bun:split|migrate:(?:up|down))\b`)

// direction matches comments that begin the down or the up part of a migration.
var direction = regexp.MustCompile(`(?i)^--\s*(?:\+(?:goose|migrate|duck)\s*|migrate:|rambler\s+|@)(up|down|undo)\b`)

// cutAt ends a statement where a comment says that one ends.
func cutAt(tokens, trivia []token.Token, sql string) []token.Token {
	var cuts []token.Token
	for _, t := range trivia {
		if t.Kind == token.COMMENT && boundary.MatchString(t.Text(sql)) {
			cuts = append(cuts, token.Token{Kind: token.SEMI, Pos: t.Pos, End: t.Pos})
		}
	}
	if cuts == nil {
		return tokens
	}
	all := append(slices.Clip(tokens), cuts...)
	slices.SortStableFunc(all, func(a, b token.Token) int { return a.Pos - b.Pos })
	return all
}

// downs returns the offsets at which a file switches to its down or up part.
func downs(trivia []token.Token, sql string) (offsets []int, down []bool) {
	for _, t := range trivia {
		if m := direction.FindStringSubmatch(t.Text(sql)); t.Kind == token.COMMENT && m != nil {
			offsets, down = append(offsets, t.Pos), append(down, !strings.EqualFold(m[1], "up"))
		}
	}
	return offsets, down
}

// leading separates holes before the first word of a statement: unknown text, followed by a
// known statement.
func leading(part []token.Token, sql string) (holes, rest []token.Token) {
	for i, t := range part {
		if isHole(t.Text(sql)) {
			continue
		}
		if i > 0 && interesting(t) {
			return part[:i], part[i:]
		}
		break
	}
	return nil, part
}

// Lines converts offsets to lines and columns.
type Lines []int // offsets of the newlines

// NewLines finds the line ends of a text.
func NewLines(text string) (l Lines) {
	for i := range len(text) {
		if text[i] == '\n' {
			l = append(l, i)
		}
	}
	return l
}

// Place returns the line and the column, in bytes, of an offset; both count from 1.
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

// groupComments joins "--" comments on successive lines, as go/ast does for "//".
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
	for i := offset - 1; i >= 0 && sql[i] != '\n'; i-- {
		if !strings.ContainsRune(" \t\f\v\r", rune(sql[i])) {
			return false
		}
	}
	return true
}
