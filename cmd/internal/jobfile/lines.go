package jobfile

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// lines are where keys stand, for messages: those of one job, and "" for its beginning, over
// those for all jobs.
type lines struct {
	job, all map[string]int
}

// of is where a key stands, or else where the job begins.
func (l lines) of(key string) int {
	if line := l.job[key]; line > 0 {
		return line
	}
	if line := l.all[key]; line > 0 && key != "" {
		return line
	}
	return max(1, l.job[""])
}

// document's lines: those for all jobs, and those of each.
type allLines struct {
	all    map[string]int
	jobs   []map[string]int
	single int // where there is a [job] in place of a [[job]]; or 0
}

func (l allLines) ofJob(i int) lines {
	if i >= len(l.jobs) { // jobs written as one list, job = [{…}]
		return lines{job: map[string]int{"": l.all["job"]}, all: l.all}
	}
	return lines{job: l.jobs[i], all: l.all}
}

// linesOf finds the keys in a text; of one that is no TOML, those before the error.
func linesOf(text []byte) allLines {
	all := allLines{all: map[string]int{}}
	into := all.all
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		key, line := firstKey(&p)
		switch kind := p.Expression().Kind; {
		case kind == unstable.KeyValue:
			note(into, key[0], line)
		case kind == unstable.ArrayTable && len(key) == 1 && key[0] == "job":
			into = map[string]int{"": line}
			all.jobs = append(all.jobs, into)
		case kind == unstable.Table && len(key) == 1 && key[0] == "job":
			all.single = line
		case kind == unstable.Table && len(key) == 2 && key[0] == "job": // [job.set]: what follows is of it
			note(into, key[1], line)
			into = map[string]int{}
		}
	}
	return all
}

// note keeps the first line of a key: it may be dotted, and come again.
func note(into map[string]int, key string, line int) {
	if _, known := into[key]; !known {
		into[key] = line
	}
}

// firstKey is the key of an expression, and the line that it is in.
func firstKey(p *unstable.Parser) (key []string, line int) {
	for parts := p.Expression().Key(); parts.Next(); {
		node := parts.Node()
		if key = append(key, string(node.Data)); len(key) == 1 {
			line = p.Shape(node.Raw).Start.Line
		}
	}
	return key, line
}

// explainUnknown names a key that there is not, and what it may be meant for.
func explainUnknown(key toml.Key) string {
	name, keys, of := "", keysOf(document{}), "the file"
	if len(key) > 0 {
		name = key[len(key)-1]
	}
	if len(key) > 1 && key[0] == "job" {
		keys, of = keysOf(entry{}), "a job"
	}

	for _, known := range keys {
		if near(name, known) {
			return fmt.Sprintf("%s; is %s meant?", name, known)
		}
	}
	if of == "the file" && slices.Contains(keysOf(entry{}), name) {
		return fmt.Sprintf("%s; it belongs to a job: write it below a line with [[job]]", name)
	}
	return fmt.Sprintf("%s; %s may have %s", name, of, strings.Join(keys, ", "))
}

// keysOf are the keys that a part of the file may have.
func keysOf(part any) []string {
	var keys []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(part)) {
		if key := field.Tag.Get("toml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// near reports whether a name is another with at most two letters left out, added or
// changed, of which it has more than that.
func near(name, known string) bool {
	if name = strings.ReplaceAll(strings.ToLower(name), "-", "_"); len(name) <= 3 {
		return name == known
	}

	row := make([]int, len(known)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(name) {
		before := row[0]
		row[0] = i + 1
		for j := range len(known) {
			change := before
			if name[i] != known[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(known)] <= 2
}

// mismatch is the decoder's message for a value of another type.
var mismatch = regexp.MustCompile(`(\w+) into (?:a )?(?:struct field \S+ of type |Go type )?(\S+)$`)

// wanted are the types that keys have, for people.
var wanted = map[string]string{"string": "a text in quotes", "bool": "true or false", "int": "a whole number", "int64": "a whole number", "float64": "a number"}

// explainWrong says what is wrong with a value, or with the file as TOML.
func explainWrong(err *toml.DecodeError) string {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	if types := mismatch.FindStringSubmatch(text); types != nil && wanted[types[2]] != "" {
		text = fmt.Sprintf("is of type %s, and must be %s", types[1], wanted[types[2]])
	} else {
		text = "is no TOML: " + text
	}

	key := strings.TrimPrefix(strings.Join(err.Key(), "."), "job.")
	if key == "" {
		key = "the file"
	}
	return key + " " + text
}
