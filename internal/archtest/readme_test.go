package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNamedTestsExist: each test that a document names in backquotes is there, so
// that "tested by" cannot outlive the test.
func TestNamedTestsExist(t *testing.T) {
	defined := definedTests(t)
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z_]?\\w*)`")
	for _, name := range []string{"README.md", "DESIGN.md", "MIGRATIONS.md"} {
		for _, match := range named.FindAllStringSubmatch(document(t, name), -1) {
			if !defined[match[1]] {
				t.Errorf("%s names %s, which no module defines", name, match[1])
			}
		}
	}
}

// TestLinksLeadSomewhere follows the links between the project's own documents.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`) // no scheme: a file
	for _, name := range []string{"README.md", "DESIGN.md", "MIGRATIONS.md"} {
		for _, match := range link.FindAllStringSubmatch(document(t, name), -1) {
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
			}
		}
	}
}

func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	for _, f := range goFiles(t) {
		if !f.test() {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, f.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range function.FindAllSubmatch(source, -1) {
			defined[string(match[1])] = true
		}
	}
	return defined
}

// TestShownProgramsAreExamples: the Go code that README and MIGRATIONS show is
// part of an Example, which the compiler and its output hold to the truth.
func TestShownProgramsAreExamples(t *testing.T) {
	examples := squeeze(document(t, "engine/example_test.go"))
	for name, atLeast := range map[string]int{"README.md": 2, "MIGRATIONS.md": 2} {
		programs := fenced(document(t, name), "go")
		if len(programs) < atLeast {
			t.Errorf("%s shows %d Go programs, want at least %d", name, len(programs), atLeast)
		}
		for _, program := range programs {
			if !strings.Contains(examples, squeeze(program)) {
				t.Errorf("no example in engine/example_test.go has these lines of %s:\n%s", name, program)
			}
		}
	}
}

// fenced lists the code blocks of a language in a document.
func fenced(text, language string) (blocks []string) {
	for {
		_, rest, ok := strings.Cut(text, "\n```"+language+"\n")
		if !ok {
			return blocks
		}
		var block string
		block, text, _ = strings.Cut(rest, "\n```")
		blocks = append(blocks, block)
	}
}

// squeeze drops indentation, which differs between a document and a function.
func squeeze(code string) string {
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
