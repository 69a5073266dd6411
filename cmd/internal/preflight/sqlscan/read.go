package sqlscan

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/token"
)

// reader is a text made ready for SQLite's tokenizer: what is not SQL in it (a
// command of the shell, an action of a template, a macro of sqlc) is blanked or
// is a hole, at the same offsets.
type reader struct {
	sql      string
	unread   []Statement // what was blanked and may change rows
	optional []int       // where a template decides what follows
	actions  []string    // those of a template that put text in, by the number of their hole
	numbers  map[string]int
}

// read makes a text ready. Only a file has lines for a shell or a template.
func read(sql string, file bool) *reader {
	s := &reader{sql: sql, numbers: map[string]int{}}
	if file {
		s.template()
		s.shell()
	}
	if strings.Contains(s.sql, "sqlc.") {
		s.sql = macro.ReplaceAllStringFunc(s.sql, func(m string) string { return ":" + strings.Repeat("a", len(m)-1) })
	}
	return s
}

// macro is how sqlc has parameters named; whatever stands in the parentheses is
// its name.
var macro = regexp.MustCompile(`\bsqlc\.(?:n?arg|slice|embed)\s*\([^()]*\)`)

func pad(text string, length int) string {
	return text + strings.Repeat(" ", max(0, length-len(text)))
}

// action is one of a template, or of a shell that fills in values. One that goes
// over a line's end, or has a semicolon, may be two strings with SQL between.
var action = regexp.MustCompile(`\{\{[^;\n]*?\}\}|\{%[^;\n]*?%\}|<%[^;\n]*?%>|\$\{[^};\n]*\}`)

// control are the actions that have no text of their own.
var control = regexp.MustCompile(`^[-~+\s]*(?:if|else|elseif|elsif|elif|end|endif|range|with|for|endfor|foreach|define|set|break|continue|/\*|#|comment)\b|^[-~+\s]*(?:/\*|#|/)`)

func (s *reader) template() {
	if !strings.ContainsAny(s.sql, "{<") {
		return
	}
	var out strings.Builder
	from := 0
	for _, at := range action.FindAllStringIndex(s.sql, -1) {
		out.WriteString(s.sql[from:at[0]])
		text, length := s.sql[at[0]:at[1]], at[1]-at[0]
		if control.MatchString(text[2:]) && !strings.HasPrefix(text, "$") {
			s.optional = append(s.optional, at[0])
			out.WriteString(pad("", length))
		} else {
			with := Hole + s.number(text)
			if len(with) > length {
				with = Hole
			}
			out.WriteString(with + strings.Repeat("_", max(0, length-len(with))))
		}
		from = at[1]
	}
	s.sql = out.String() + s.sql[from:]
}

// number tells actions apart: the same puts in the same, however it is spaced.
func (s *reader) number(action string) string {
	action = strings.Join(strings.Fields(action[2:len(action)-2]), " ")
	i, ok := s.numbers[action]
	if !ok {
		i = len(s.actions)
		s.actions, s.numbers[action] = append(s.actions, action), i
	}
	return strconv.Itoa(i)
}

var numberedHole = regexp.MustCompile(Hole + `(\d+)_*`)

// named is the name of a table. One that is put in is known by the action of the
// template that does so; another is not known.
func (s *reader) named(name string) string {
	if name = numberedHole.ReplaceAllStringFunc(name, func(h string) string {
		i, _ := strconv.Atoi(numberedHole.FindStringSubmatch(h)[1])
		if i >= len(s.actions) {
			return h
		}
		return "{{ " + s.actions[i] + " }}"
	}); hole(name) {
		return ""
	}
	return name
}

// decided reports whether a template decides what stands between two offsets.
func (s *reader) decided(start, end int) bool {
	i, _ := slices.BinarySearch(s.optional, start)
	return i < len(s.optional) && s.optional[i] < end
}

// harmless are the commands of SQLite's shell that change no rows and read no
// SQL from elsewhere.
var harmless = strings.Fields(`auth backup bail binary changes connection databases dbinfo dbtotxt dump echo eqp exit
	explain expert fullschema headers help imposter indexes indices intck limit lint log mode nonce nullvalue once open
	output parameter print progress prompt quit save scanstats schema selftest separator session sha3sum show stats
	tables testcase timeout timer trace version vfsinfo vfslist vfsname width www`)

// shell blanks the lines that are commands for SQLite's shell: those that begin
// with a dot where no statement is begun.
func (s *reader) shell() {
	if !strings.Contains(s.sql, ".") {
		return
	}
	out, open, comment, offset := []byte(s.sql), false, false, 0
	for line := range strings.Lines(s.sql) {
		code := strings.TrimSpace(line)
		if i := strings.Index(code, "--"); i >= 0 && !strings.HasPrefix(code, ".") {
			code = strings.TrimSpace(code[:i])
		}
		switch {
		case comment || strings.HasPrefix(code, "/*"):
			comment = !strings.Contains(code, "*/")
		case code == "":
		case !open && len(code) > 1 && code[0] == '.' && 'a' <= code[1]|0x20 && code[1]|0x20 <= 'z':
			s.command(code, offset)
			copy(out[offset:], pad("", len(strings.TrimRight(line, "\r\n"))))
		default:
			open = !strings.HasSuffix(code, ";")
		}
		offset += len(line)
	}
	s.sql = string(out)
}

// command keeps one that is not known to be harmless.
func (s *reader) command(code string, offset int) {
	name, _, _ := strings.Cut(code[1:], " ")
	name = strings.ToLower(strings.TrimSpace(name))
	if len(name) > 1 && slices.ContainsFunc(harmless, func(h string) bool { return strings.HasPrefix(h, name) }) {
		return
	}
	if name == "read" && strings.HasSuffix(strings.ToLower(strings.Trim(code, `'"`)), ".sql") {
		return // a file that is looked into where it is
	}
	s.unread = append(s.unread, unread(offset, offset+len(code), "."+name+" is a command of SQLite's shell: what it runs or writes is not in this text"))
}

func unread(start, end int, problem string) Statement {
	return Statement{Kind: Unread, Cost: Unknown, Start: start, End: end, Problem: problem, Certain: true}
}

// resumes are the lines at which reading goes on behind a quote that is never closed.
var resumes = regexp.MustCompile(`(?im)^[ \t]*(?:create|alter|update|delete|insert|replace|reindex|vacuum|drop|with|select|pragma|begin|commit)\b`)

// lex cuts a text into tokens. A quote that is open at the end is told, and what
// stands on the lines below it is read as if it had been closed: it is at most the
// last of its kind, so there are few of them. A comment that is open is told, too.
func (s *reader) lex(file bool) (tokens, trivia []token.Token) {
	from := 0
	for {
		t, c := lexer.LexFile(s.sql[from:])
		t = t[:len(t)-1] // the last one is the end
		shift(t, from)
		shift(c, from)
		tokens, trivia = append(tokens, t...), append(trivia, c...)
		if n := len(trivia); n > 0 && openComment(trivia[n-1].Text(s.sql)) && trivia[n-1].End == len(s.sql) {
			s.unread = append(s.unread, unread(trivia[n-1].Pos, len(s.sql), "this comment is never closed: everything after it is part of it"))
		}
		n := len(tokens)
		if !file || n == 0 || !openQuote(tokens[n-1], s.sql) {
			return tokens, trivia
		}
		last := &tokens[n-1]
		at := resumes.FindStringIndex(s.sql[last.Pos+1 : last.End])
		if at == nil {
			return tokens, trivia
		}
		last.End = last.Pos + 1 + at[0]
		tokens = append(tokens, token.Token{Kind: token.SEMI, Pos: last.End, End: last.End})
		from = last.End
	}
}

func shift(tokens []token.Token, by int) {
	for i := range tokens {
		tokens[i].Pos += by
		tokens[i].End += by
	}
}

func openQuote(t token.Token, sql string) bool {
	return t.Kind == token.ILLEGAL && strings.IndexByte("'\"`[", sql[t.Pos]) >= 0
}

func openComment(text string) bool {
	return strings.HasPrefix(text, "/*") && (len(text) < 4 || !strings.HasSuffix(text, "*/"))
}
