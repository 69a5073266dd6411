package sqlscan

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/token"
)

// reader is a text prepared for SQLite's tokenizer: text in it that is not SQL (a shell
// command, a template action, a sqlc macro) is blanked or replaced by a hole, at the same
// offsets.
type reader struct {
	sql      string
	unread   []Statement // blanked text that may change rows
	optional []int       // where a template decides what follows
	actions  []string    // template actions that insert text, by the number of their hole
	numbers  map[string]int
}

// read prepares a text. Only a file can have lines for a shell or a template.
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

// macro matches the way sqlc names parameters; whatever is in the parentheses is the name.
var macro = regexp.MustCompile(`\bsqlc\.(?:n?arg|slice|embed)\s*\([^()]*\)`)

func pad(text string, length int) string {
	return text + strings.Repeat(" ", max(0, length-len(text)))
}

// action matches an action of a template, or of a shell that inserts values. A match across
// a line end, or with a semicolon, may be two strings with SQL in between.
var action = regexp.MustCompile(`\{\{[^;\n]*?\}\}|\{%[^;\n]*?%\}|<%[^;\n]*?%>|\$\{[^};\n]*\}`)

// control matches the actions that produce no text of their own.
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

// number identifies an action: the same action inserts the same text, however it is spaced.
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

// named returns the name of a table. An inserted name is identified by the template action
// that inserts it; any other is unknown.
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

// decided reports whether a template decides about the text between two offsets.
func (s *reader) decided(start, end int) bool {
	i, _ := slices.BinarySearch(s.optional, start)
	return i < len(s.optional) && s.optional[i] < end
}

// harmless lists the commands of SQLite's shell that change no rows and run no SQL from
// elsewhere.
var harmless = strings.Fields(`auth backup bail binary changes connection databases dbinfo dbtotxt dump echo eqp exit
	explain expert fullschema headers help imposter indexes indices intck limit lint log mode nonce nullvalue once open
	output parameter print progress prompt quit save scanstats schema selftest separator session sha3sum show stats
	tables testcase timeout timer trace version vfsinfo vfslist vfsname width www`)

// shell blanks the lines that are commands for SQLite's shell: those that begin with a dot
// outside a statement.
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

// command records a command that is not known to be harmless.
func (s *reader) command(code string, offset int) {
	name, _, _ := strings.Cut(code[1:], " ")
	name = strings.ToLower(strings.TrimSpace(name))
	if len(name) > 1 && slices.ContainsFunc(harmless, func(h string) bool { return strings.HasPrefix(h, name) }) {
		return
	}
	if name == "read" && strings.HasSuffix(strings.ToLower(strings.Trim(code, `'"`)), ".sql") {
		return // a file that is checked on its own
	}
	s.unread = append(s.unread, unread(offset, offset+len(code), "."+name+" is a command of SQLite's shell: what it runs or writes is not in this text"))
}

func unread(start, end int, problem string) Statement {
	return Statement{Kind: Unread, Cost: Unknown, Start: start, End: end, Problem: problem, Certain: true}
}

// resumes matches the lines at which reading continues after an unclosed quote.
var resumes = regexp.MustCompile(`(?im)^[ \t]*(?:create|alter|update|delete|insert|replace|reindex|vacuum|drop|with|select|pragma|begin|commit)\b`)

// lex splits a text into tokens. A quote that is open at the end is reported, and the lines
// after it are read as if it had been closed: it is at most the last one of its kind, so
// there are few of them. An open comment is reported, too.
func (s *reader) lex(file bool) (tokens, trivia []token.Token) {
	from := 0
	for {
		t, c := lexer.LexFile(s.sql[from:])
		t = t[:len(t)-1] // the last one is the end of the text
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
