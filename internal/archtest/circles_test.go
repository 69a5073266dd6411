package archtest

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// largestCircle is how many files of a package may depend on each other in a circle, so
// that none of them can be read, or moved, without the others.
const largestCircle = 5

// larger are the packages with a larger circle today, and how many files are in it. They
// may only shrink.
var larger = map[string]int{
	"bench": 6, "cmd/internal/preflight/goscan": 10, "engine": 25,
}

// circle is the largest set of files of a package in which each needs each, if only by
// way of others.
type circle struct {
	dir   string
	files []string
	of    int // how many files the package has
}

func (c circle) String() string {
	return fmt.Sprintf("%s: %d of %d files: %s", c.dir, len(c.files), c.of, strings.Join(c.files, " "))
}

// TestFilesInCircles: the arrows of DESIGN.md hold packages apart; this holds what is
// inside of one. A file needs another where it uses anything that the other declares: a
// name, a method, a field. Planted and caught: a method of walk.go's used in gate.go of
// internal/loop; in the list one file less, and one more, than the circle has; and, in
// the measure, methods and fields that do not count.
func TestFilesInCircles(t *testing.T) {
	var circles []circle
	l := newLoader(t, packages(t))
	for dir := range l.packages {
		circles = append(circles, largest(dir, l.needs(dir)))
	}
	slices.SortFunc(circles, func(a, b circle) int {
		if d := len(b.files) - len(a.files); d != 0 {
			return d
		}
		return strings.Compare(a.dir, b.dir)
	})

	for _, c := range circles {
		limit := max(largestCircle, larger[c.dir])
		if len(c.files) > limit {
			t.Errorf("more than %d files depend on each other in %v", limit, c)
		}
		if had, listed := larger[c.dir]; listed && len(c.files) < had {
			t.Errorf("say so in larger, where it has %d: %v", had, c)
		}
	}
	for _, c := range circles[:5] {
		t.Log(c)
	}
}

// packages lists the files of each package of the clone, without tests, as they are built
// on one kind of machine, so that the figures are the same on all.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	machine := build.Default
	machine.GOOS, machine.GOARCH, machine.CgoEnabled = "linux", "amd64", false

	all := map[string][]string{}
	for _, f := range goFiles(t) {
		dir, name := filepath.Join(root, filepath.FromSlash(f.dir())), path.Base(f.name)
		built, err := machine.MatchFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if built && !f.test() {
			all[f.dir()] = append(all[f.dir()], name)
		}
	}
	return all
}

// loader type-checks packages of the clone, and imports those of the standard library from
// their source. It knows no others: what is only of theirs declares nothing in ours.
type loader struct {
	t        *testing.T
	fset     *token.FileSet
	packages map[string][]string
	standard types.Importer
	loaded   map[string]*types.Package
	uses     map[string]map[*ast.Ident]types.Object
}

func newLoader(t *testing.T, all map[string][]string) *loader {
	fset := token.NewFileSet()
	return &loader{t, fset, all, importer.ForCompiler(fset, "source", nil), map[string]*types.Package{}, map[string]map[*ast.Ident]types.Object{}}
}

// Import is what the type checker asks for.
func (l *loader) Import(name string) (*types.Package, error) {
	dir, ours := strings.CutPrefix(name, module+"/")
	switch {
	case name == module:
		return l.load("."), nil
	case ours:
		return l.load(dir), nil
	case standard(name):
		return l.standard.Import(name)
	}
	return nil, fmt.Errorf("%s is neither ours nor of the standard library", name)
}

// load goes on after errors: there are some wherever a package is not known.
func (l *loader) load(dir string) *types.Package {
	l.t.Helper()
	if p, ok := l.loaded[dir]; ok {
		return p
	}

	var files []*ast.File
	for _, name := range l.packages[dir] {
		parsed, err := parser.ParseFile(l.fset, filepath.Join(root, filepath.FromSlash(dir), name), nil, parser.SkipObjectResolution)
		if err != nil {
			l.t.Fatal(err)
		}
		files = append(files, parsed)
	}

	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: l, Error: func(error) {}}
	l.loaded[dir], _ = config.Check(dir, l.fset, files, &info)
	l.uses[dir] = info.Uses
	return l.loaded[dir]
}

// needs is which files of a package each of them needs, itself among them.
func (l *loader) needs(dir string) map[string]map[string]bool {
	l.t.Helper()
	own := l.load(dir)
	needs := map[string]map[string]bool{}
	for _, name := range l.packages[dir] {
		needs[name] = map[string]bool{name: true}
	}
	for ident, object := range l.uses[dir] {
		if object.Pkg() == own && object.Pos().IsValid() {
			needs[l.file(ident.Pos())][l.file(object.Pos())] = true
		}
	}
	return needs
}

func (l *loader) file(pos token.Pos) string { return filepath.Base(l.fset.Position(pos).Filename) }

// largest is the largest circle of a package, given which file needs which.
func largest(dir string, needs map[string]map[string]bool) circle {
	// By way of one file more each time round.
	for via := range needs {
		for from := range needs {
			if needs[from][via] {
				for to := range needs[via] {
					needs[from][to] = true
				}
			}
		}
	}

	c := circle{dir: dir, of: len(needs)}
	for name := range needs {
		var around []string
		for other := range needs[name] {
			if needs[other][name] {
				around = append(around, other)
			}
		}
		if slices.Sort(around); len(around) > len(c.files) || len(around) == len(c.files) && slices.Compare(around, c.files) < 0 {
			c.files = around
		}
	}
	return c
}

// TestLargestCircle: circles drawn by hand. Planted and caught: files that need each other
// by way of others left out; those that are needed, but do not need back, counted.
func TestLargestCircle(t *testing.T) {
	for what, c := range map[string]struct {
		needs string // "ab": file a needs file b
		want  string
	}{
		"no file needs another":         {"aa bb", "a"},
		"a chain is no circle":          {"aa bb cc ab bc ac", "a"},
		"two":                           {"aa bb cc ab ba bc", "ab"},
		"by way of others":              {"aa bb cc dd ab bc cd da", "abcd"},
		"a file that two circles share": {"aa bb cc dd ee ab ba bc cb cd de ed", "abc"},
		"the larger of two circles":     {"aa bb cc dd ee ab ba cd de ec", "cde"},
	} {
		needs := map[string]map[string]bool{}
		for _, arrow := range strings.Fields(c.needs) {
			from, to := arrow[:1], arrow[1:]
			if needs[from] == nil {
				needs[from] = map[string]bool{}
			}
			needs[from][to] = true
		}
		if got := strings.Join(largest("x", needs).files, ""); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
