package lite

import (
	"regexp"
	"strings"
)

// Names returns the words of a piece of SQL that may be names of columns, as FoldName folds
// them: bare words and those in any of the quotes that SQLite accepts around a name.
// Strings, comments, functions and reserved words are left out. A double-quoted string
// counts as a name, because SQLite decides by whether a column of that name exists.
func Names(fragment string) map[string]bool {
	names := map[string]bool{}
	for i := 0; i < len(fragment); {
		length, name := Token(fragment[i:])
		bare := name != "" && inName(fragment[i])
		i += length
		name = FoldName(name)
		switch {
		case name == "", bare && reserved[name], strings.HasPrefix(strings.TrimLeft(fragment[i:], " \t\r\n"), "("):
		default:
			names[name] = true
		}
	}
	return names
}

// reserved holds the words of expressions that are not names unless they are quoted.
var reserved = set("and as between by case cast collate current_date current_time current_timestamp distinct else end escape exists false from glob " +
	"group having in is isnull like limit not notnull null or order raise select then true union using values when where")

func set(words string) map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(words) {
		all[w] = true
	}
	return all
}

// Token returns the length of the first token of s, and the name if it is one.
func Token(s string) (length int, name string) {
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
	case strings.IndexByte(":@$?", c) >= 0: // a parameter
		return 1 + wordLength(s[1:]), ""
	case '0' <= c && c <= '9':
		return wordLength(s), ""
	case !inName(c):
		return 1, ""
	}
	length = wordLength(s)
	return length, s[:length]
}

// NameInText is the name that SQLite takes a string for where there must be one, as in CREATE TABLE 't'; "" if the token
// is no string.
func NameInText(token string) string {
	if len(token) < 2 || token[0] != '\'' {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSuffix(token[1:], "'"), "''", "'")
}

func wordLength(s string) (n int) {
	for n < len(s) && inName(s[n]) {
		n++
	}
	return n
}

// quoted returns the length of a quoted token; a doubled quote inside it does not end it.
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

// span returns the length of s up to and including end.
func span(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func inName(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// ReadsClock reports whether an expression depends on the time at which it is evaluated: it
// names CURRENT_TIMESTAMP or the like, contains the string 'now', or calls a date function
// without arguments, which then uses the current time.
func ReadsClock(fragment string) bool {
	folded := FoldName(fragment)
	return strings.Contains(folded, "'now'") || currentTime.MatchString(folded) || emptyCall.MatchString(folded)
}

var currentTime = regexp.MustCompile(`\bcurrent_(?:timestamp|date|time)\b`)

// emptyCall matches a date function without arguments, or with nothing but modifiers of its
// result.
var emptyCall = regexp.MustCompile(`\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*(?:'subsec(?:ond)?'\s*)?\)|\bstrftime\s*\(\s*'[^']*'\s*\)`)

// Repeats reports whether a condition is sure to have the same answer when it is asked of the
// same row again: it reads columns and values, and calls no function, asks no table and no clock.
func Repeats(fragment string) bool {
	for i := 0; i < len(fragment); {
		length, name := Token(fragment[i:])
		word := FoldName(name)
		i += length
		called := name != "" && strings.HasPrefix(strings.TrimLeft(fragment[i:], " \t\r\n"), "(")
		switch {
		case word == "select", word == "exists", called && !reserved[word], strings.HasPrefix(word, "current_"):
			return false
		}
	}
	return true
}
