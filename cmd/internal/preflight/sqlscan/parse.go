package sqlscan

import "slices"

// Parse splits a string of a program into statements and leaves out irrelevant ones. Text
// that begins like a statement but cannot be parsed is Unread.
func Parse(sql string) (statements []Statement, comments []Comment) { return parseAll(sql, false) }

// ParseFile does the same for a SQL file, in which everything is either parsed or Unread.
func ParseFile(sql string) (statements []Statement, comments []Comment) { return parseAll(sql, true) }

func parseAll(sql string, file bool) (statements []Statement, comments []Comment) {
	src := read(sql, file)
	tokens, trivia := src.lex(file)
	for _, part := range split(cutAt(tokens, trivia, src.sql)) {
		holes, rest := leading(part, src.sql)
		if len(holes) > 0 && file {
			statements = append(statements, unread(holes[0].Pos, holes[len(holes)-1].End, unknownText))
		}
		if s := src.judge(rest, file); s.Kind != None {
			statements = append(statements, s)
		}
	}
	statements = append(statements, src.unread...)
	slices.SortStableFunc(statements, func(a, b Statement) int { return a.Start - b.Start })
	lines := NewLines(sql)
	offsets, down := downs(trivia, src.sql)
	for i := range statements {
		s := &statements[i]
		s.Line = lines.at(s.Start)
		if d, _ := slices.BinarySearch(offsets, s.Start); d > 0 {
			s.Down = down[d-1]
		}
	}
	return statements, groupComments(src.sql, trivia, lines)
}
