// Package waiver parses the two decisions that an author can write down: the annotation
// above a statement and the scale line of a pull request. See [FindAnnotation] and
// [FindScales].
package waiver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// ErrMalformed is returned for text that begins like a waiver but is not a valid one. The
// message shows the correct form.
var ErrMalformed = errors.New("malformed")

// ErrReason is returned for an annotation with a meaningless reason. Say what runs the
// statement, when, and why that is fine.
var ErrReason = errors.New("no meaningful reason")

const (
	annotationMark = "PREFLIGHT"
	annotationForm = `PREFLIGHT: async=true reason="why this may run where it runs"`
)

// A reason that a reviewer can judge names what runs, when, and why that is fine. Anything
// shorter than this cannot.
const (
	minReasonWords   = 3
	minReasonLetters = 12
	minReasonOwn     = 2 // words that are not filler
)

// FindAnnotation looks for an annotation in the lines of a comment, whose comment marks
// have been removed. The reason may span several lines. It returns the index of the
// annotation's first line, or -1 if there is none.
func FindAnnotation(lines []string) (line int, reason string, err error) {
	for i, l := range lines {
		rest, ok := annotation(l)
		if !ok {
			continue
		}
		reason, err := parseAnnotation(rest, lines[i+1:])
		return i, reason, err
	}
	return -1, "", nil
}

// annotation strips the mark from a line. More than one space before it makes the line an
// indented example.
func annotation(line string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(strings.TrimPrefix(line, " "), annotationMark)
	if !ok || strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, scaleMark[len(annotationMark):]) {
		return rest, ok
	}
	return rest, strings.Contains(rest, "async=") || strings.Contains(rest, "reason=")
}

func parseAnnotation(rest string, following []string) (reason string, err error) {
	if strings.HasPrefix(rest, scaleMark[len(annotationMark):]) {
		return "", malformed("%s belongs in the body of the pull request; here write %s", scaleMark, annotationForm)
	}
	fields, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return "", malformed("a colon is missing: %s", annotationForm)
	}
	before, quoted, ok := strings.Cut(fields, `reason="`)
	if !ok {
		return "", malformed(`it has no reason="…" in straight quotes: %s`, annotationForm)
	}
	reason, after, following, ok := unquote(quoted, following)
	if !ok {
		return "", malformed(`the quote of reason="… is not closed in this comment`)
	}
	if err := checkFields(strings.Fields(before + " " + after)); err != nil {
		return "", err
	}
	for _, l := range following {
		if _, again := annotation(l); again {
			return "", malformed("one comment has two annotations: write one above each statement")
		}
	}
	return reason, checkReason(reason)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// unquote reads up to the closing quote, across the following lines if necessary.
func unquote(text string, following []string) (quoted, after string, left []string, ok bool) {
	for {
		if end := closingQuote(text); end >= 0 {
			quoted = strings.ReplaceAll(text[:end], `\"`, `"`)
			return strings.Join(strings.Fields(quoted), " "), text[end+1:], following, true
		}
		if len(following) == 0 {
			return "", "", nil, false
		}
		text, following = text+" "+following[0], following[1:]
	}
}

func closingQuote(text string) int {
	for i := range len(text) {
		if text[i] == '"' && (i == 0 || text[i-1] != '\\') {
			return i
		}
	}
	return -1
}

func checkFields(fields []string) error {
	if len(fields) == 1 && fields[0] == "async=true" {
		return nil
	}
	for _, f := range fields {
		if f != "async=true" {
			return malformed("%q is not part of %s", f, annotationForm)
		}
	}
	return malformed("async=true must appear in it exactly once: %s", annotationForm)
}

// prompts lists the placeholders that the gate and the documents print in place of a
// reason; copied by an author they say nothing.
var prompts = []string{
	"why this may run where it runs", "what runs it, when, why that is fine", "what runs it, when, and why that is fine",
	"say what runs this, when, and why that is fine", "say what runs the statement, when, and why that is fine", "a reviewer must be able to judge it",
}

// filler holds words that may occur in a reason but do not give one.
var filler = words(`a an and any be because been but by can do does done for fine from good has have here how in is it its just may maybe me
	must need needed needs no not now of ok okay on only or please really reason reviewed safe should so some sure that the then there this
	to trust true us very was we when where which why will with yes you async await preflight annotation approved ignore skip nolint statement
	statements query sql migration migrations change changes run runs running it's harmless works know known`)

// words returns the distinct words of a text, in lower case.
func words(text string) map[string]bool {
	list := map[string]bool{}
	isText := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !isText(r) }) {
		list[word] = true
	}
	return list
}

// checkReason refuses a reason that is there only to silence the gate.
func checkReason(reason string) error {
	letters, own := 0, 0
	said := words(reason)
	for word := range said {
		switch word {
		case "todo", "tbd", "fixme", "xxx":
			return fmt.Errorf("%w: %q is not a reason: say what runs this, when, and why that is fine", ErrReason, reason)
		}
		letters += len([]rune(word))
		if !filler[word] {
			own++
		}
	}
	if len(said) < minReasonWords || letters < minReasonLetters {
		return fmt.Errorf("%w: %q is too short: say what runs this, when, and why that is fine", ErrReason, reason)
	}
	prompted := slices.ContainsFunc(prompts, func(p string) bool { return maps.Equal(words(p), said) })
	if own < minReasonOwn || prompted {
		return fmt.Errorf("%w: %q says nothing specific: say what runs this, when, and why that is fine", ErrReason, reason)
	}
	return nil
}
