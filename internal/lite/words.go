package lite

import (
	"regexp"
	"strings"
)

// Names lists the words of a piece of SQL that may be names of columns, as FoldName
// folds them: bare ones and those in any of the quotes that SQLite takes for a name.
// Strings and comments have none. A double-quoted string counts as a name, since SQLite
// decides which it is by whether there is one.
func Names(fragment string) map[string]bool {
	names := map[string]bool{}
	for i := 0; i < len(fragment); {
		end, name := token(fragment[i:])
		if name != "" {
			names[FoldName(name)] = true
		}
		i += end
	}
	return names
}

// token is the length of the first token of s, and the name if it is one.
func token(s string) (length int, name string) {
	switch c := s[0]; {
	case c == '\'' || c == '"' || c == '`':
		length = quoted(s, c)
		if c != '\'' {
			q := string(c)
			name = strings.ReplaceAll(strings.TrimSuffix(s[1:length], q), q+q, q)
		}
		return length, name
	case c == '[':
		length = span(s, "]")
		return length, strings.TrimSuffix(s[1:length], "]")
	case strings.HasPrefix(s, "--"):
		return span(s, "\n"), ""
	case strings.HasPrefix(s, "/*"):
		return 2 + span(s[2:], "*/"), ""
	case !inName(c):
		return 1, ""
	}
	for length < len(s) && inName(s[length]) {
		length++
	}
	return length, s[:length]
}

// quoted is the length of a token in quotes, which it may have doubled inside.
func quoted(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

// span is the length of s up to and with end.
func span(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func inName(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// ReadsClock reports whether an expression depends on the time at which it is evaluated:
// it names CURRENT_TIMESTAMP or one of its kind, has the string 'now', or calls a
// function of dates without arguments, which then takes the current time.
func ReadsClock(fragment string) bool {
	for name := range Names(fragment) {
		switch name {
		case "current_timestamp", "current_date", "current_time":
			return true
		}
	}
	folded := FoldName(fragment)
	return strings.Contains(folded, "'now'") || emptyCall.MatchString(folded)
}

// emptyCall finds a function of dates whose argument list is empty, or has nothing but
// modifiers of its result.
var emptyCall = regexp.MustCompile(`\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*(?:'subsec(?:ond)?'\s*)?\)|\bstrftime\s*\(\s*'[^']*'\s*\)`)
