package waiver

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	scaleMark = "PREFLIGHT-MIGRATION-SCALE"
	scaleForm = "PREFLIGHT-MIGRATION-SCALE: <30s N=80K"
)

// MaxBudget is the longest time that a declared migration may take at production scale. A
// deploy's health check gives up at about that time.
const MaxBudget = 30 * time.Second

// Scale is a line in a pull request's body that declares how long the change's statements
// take at production scale.
type Scale struct {
	Line   int // in the body, from 1
	Text   string
	Budget time.Duration
	Rows   int64
	Err    error // ErrMalformed with what is wrong, or nil
}

var (
	// scaleLine allows a bullet before the mark.
	scaleLine  = regexp.MustCompile(`^ {0,3}(?:[-*+] +)?` + scaleMark + `(.*)$`)
	scaleNear  = regexp.MustCompile(`(?i)` + scaleMark + `.*(?:<|\bN\s*=)`)
	budgetPart = regexp.MustCompile(`^:\s*<\s*([0-9]+(?:\.[0-9]+)?)(ms|s|m)(?:[\s,;]|$)`)
	rowsPart   = regexp.MustCompile(`(?:^|[\s,;])N=([0-9][0-9_]*(?:\.[0-9]+)?)([KkMmGg]?)( \d{3}\b)?(?:[\s;)]|[,.](?:\D|$)|$)`)
	rowUnits   = map[string]float64{"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
)

// FindScales returns the scale lines of a pull request's body, valid or not. Text in HTML
// comments and code blocks is ignored.
func FindScales(body string) (scales []Scale) {
	for i, line := range visible(body) {
		line = strings.TrimRight(line, "\r ")
		switch m := scaleLine.FindStringSubmatch(line); {
		case m != nil:
			scales = append(scales, parseScale(i+1, line, m[1]))
		case scaleNear.MatchString(line) && !strings.Contains(line, "`"): // in backquotes it is an example
			scales = append(scales, Scale{Line: i + 1, Text: line,
				Err: malformed("it must begin the line, in capitals and without other markup: %s", scaleForm)})
		}
	}
	return scales
}

func parseScale(number int, line, rest string) Scale {
	s := Scale{Line: number, Text: strings.TrimSpace(line)}
	s.Budget, s.Err = parseBudget(rest)
	if s.Err == nil {
		s.Rows, s.Err = parseRows(rest)
	}
	return s
}

func parseBudget(text string) (time.Duration, error) {
	m := budgetPart.FindStringSubmatch(text)
	if m == nil {
		return 0, malformed("after the colon it must give a duration, <30s or less: %s", scaleForm)
	}
	d, err := time.ParseDuration(m[1] + m[2])
	if err != nil || d > MaxBudget {
		return 0, malformed("<%s%s is over the budget of %s: wrap the statements in RunAsyncMigration instead", m[1], m[2], MaxBudget)
	}
	return d, nil
}

func parseRows(text string) (int64, error) {
	m := rowsPart.FindStringSubmatch(text)
	if m == nil || m[3] != "" { // "80 000" is not eighty
		return 0, malformed("it must give a number of rows, such as N=80K, N=1.9M or N=2_600_000: %s", scaleForm)
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], "_", ""), 64)
	rows := n * rowUnits[strings.ToUpper(m[2])]
	if err != nil || rows < 1 || rows > 1e15 {
		return 0, malformed("N=%s%s is not a number of rows: write how many the largest table touched has in production", m[1], m[2])
	}
	return int64(rows), nil
}

// visible returns the lines of the body, with those emptied that GitHub does not show as
// plain text.
func visible(body string) []string {
	lines := strings.Split(body, "\n")
	var fence string
	hidden := false // inside an HTML comment
	for i, line := range lines {
		switch {
		case fence != "":
			if closes(line, fence) {
				fence = ""
			}
			lines[i] = ""
		case !hidden && opens(line) != "":
			fence, lines[i] = opens(line), ""
		default:
			lines[i], hidden = cutComments(line, hidden)
		}
	}
	return lines
}

var fenceLine = regexp.MustCompile("^ {0,3}(```+|~~~+)")

func opens(line string) string {
	if m := fenceLine.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

// closes reports whether a line closes a fence: it needs at least as many marks of the same
// kind, and nothing after them.
func closes(line, fence string) bool {
	marks := opens(line)
	return strings.HasPrefix(marks, fence) && strings.TrimSpace(line) == marks
}

// cutComments removes HTML comments from a line and reports whether one is still open at
// its end.
func cutComments(line string, hidden bool) (string, bool) {
	var seen strings.Builder
	for {
		mark := "<!--"
		if hidden {
			mark = "-->"
		}
		before, after, ok := strings.Cut(line, mark)
		if !hidden {
			seen.WriteString(before)
		}
		if !ok {
			return seen.String(), hidden
		}
		line, hidden = after, !hidden
	}
}
