//go:build go1.25

package loop_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/throttle"
)

// TestEachReasonHasBothHalves reads the source of throttle: each constant of type Reason has
// a scene in which it shows and one in which it must not, and each scene is of one that there
// is. Planted and caught: a constant more; a reason without a scene in which it must not show.
func TestEachReasonHasBothHalves(t *testing.T) {
	declared := declaredReasons(t)
	if len(declared) == 0 {
		t.Fatal("throttle declares no Reason")
	}
	for reason, name := range declared {
		switch half := reasons[reason]; {
		case len(half.shows) == 0:
			t.Errorf("no scene in which %s, %q, shows", name, reason)
		case len(half.hides) == 0:
			t.Errorf("no scene in which %s, %q, must not show", name, reason)
		}
	}
	for reason := range reasons {
		if declared[reason] == "" {
			t.Errorf("scenes of %q, which throttle does not declare", reason)
		}
	}
}

// declaredReasons are the constants of type Reason, by value.
func declaredReasons(t *testing.T) map[throttle.Reason]string {
	t.Helper()
	files, err := filepath.Glob("../../throttle/*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[throttle.Reason]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			for _, spec := range constants(decl) {
				for i, name := range spec.Names {
					declared[reasonOf(t, spec, i)] = name.Name
				}
			}
		}
	}
	return declared
}

// constants are those of a declaration that are exported reasons.
func constants(decl ast.Decl) (specs []*ast.ValueSpec) {
	group, ok := decl.(*ast.GenDecl)
	if !ok || group.Tok != token.CONST {
		return nil
	}
	for _, spec := range group.Specs {
		if spec := spec.(*ast.ValueSpec); isReason(spec) && ast.IsExported(spec.Names[0].Name) {
			specs = append(specs, spec)
		}
	}
	return specs
}

// isReason reports whether a declaration is of type Reason, or is named like one.
func isReason(spec *ast.ValueSpec) bool {
	if kind, ok := spec.Type.(*ast.Ident); ok {
		return kind.Name == "Reason"
	}
	return strings.HasPrefix(spec.Names[0].Name, "Reason")
}

// reasonOf is the text of a constant, which is a literal.
func reasonOf(t *testing.T, spec *ast.ValueSpec, i int) throttle.Reason {
	t.Helper()
	if i < len(spec.Values) {
		if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			return throttle.Reason(text)
		}
	}
	t.Fatalf("the text of %s is no literal", spec.Names[i])
	return ""
}
