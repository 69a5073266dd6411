package goscan

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// talks matches functions and methods whose strings are read by people or other programs:
// messages, errors, names of metrics and spans, help. perhaps matches names that such
// functions share with others; of their strings, only those that begin with a lower-case
// letter are for people. searches matches functions that look for one string in another.
var (
	talks = regexp.MustCompile(`^(?:panic|errors\.\w+|xerrors\.\w+|status\.\w+|fmt\.Errorf|fmt\.Print(?:f|ln)?|http\.Error|flag\.\w+|` +
		`(?:.*\.)?(?:Error|Fatal|Log|Skip|Print|Panic|Wrap|WithMessage|Annotate|Msg|Trace|Notice|Critical|Warning|Alert|Verbose)(?:f|ln|w|Context)?|` +
		`(?:log|slog|logger|zap|zerolog|logrus|glog|klog|attribute|metrics|prometheus|promauto|trace|tracer|otel|sentry|color|testing)\.\w+|` +
		`.*\.(?:Debug|Info|Warn|Error)(?:f|w|ln|Context)?|.*\.(?:WithLabelValues|GetMetricWithLabelValues|WithFields?|WithValues|SetName|AddEvent|` +
		`StartSpan|StartRegion|SetStatus|SetAttributes|Str|AbortWithError|SetTitle|SetLabel|SetText|StringVarP?|BoolVarP?|IntVarP?|` +
		`StringP|BoolP|IntP|DurationVarP?|Flash|Notify))$`)
	perhaps  = regexp.MustCompile(`^(?:With|Run|It|Describe|Context|StartSpan|Inc|Count|Observe|String|Text|Say|Sayf|Labels|Event|Record|Send|Write|Set|T|Tr|Trans|Translate|JSON|Render)$`)
	searches = regexp.MustCompile(`^(?:strings|bytes)\.(?:HasPrefix|HasSuffix|Contains|EqualFold|Index|Cut|CutPrefix|TrimPrefix|TrimSuffix|Split|Count)$`)
)

// helps matches struct fields that are shown to people, shown the names of variables that
// hold such text, and speaks the methods that return it.
var (
	helps  = regexp.MustCompile(`^(?:Use|Short|Long|Example|Usage|UsageText|Help|Description|Desc|Message|Msg|Title|Label|Summary|Reason|Caption|Tooltip|Error|Err|Op|Operation)$`)
	shown  = regexp.MustCompile(`^(?:msg|message|err|label|title|help|text|usage|tip)[A-Z_]\w*$|(?i)^(?:.*(?:title|label|message|msg|help|usage|caption|tooltip|errText|reason|description|summary))$`)
	speaks = regexp.MustCompile(`(?i)^(?:Error|String|Title|Description|Help|Usage|Name|Message|Label|Summary|GoString)$`)
)

// prose reports whether a string is a message, a help text or an operand of a comparison:
// it is not executed in any of these places.
func (s *scan) prose(n ast.Node, stack []ast.Node) bool {
	if len(stack) == 0 {
		return false
	}
	switch parent := stack[len(stack)-1].(type) {
	case *ast.Field: // a tag
		return true
	case *ast.CaseClause:
		return slices.ContainsFunc(parent.List, func(e ast.Expr) bool { return e == n })
	case *ast.BinaryExpr:
		if parent.Op == token.EQL || parent.Op == token.NEQ {
			return true
		}
	case *ast.KeyValueExpr:
		if parent.Value == n && (helps.MatchString(rootName(parent.Key)) || named(parent.Key) || ofJob(parent.Key, stack)) {
			return true
		}
	case *ast.ReturnStmt:
		if function, ok := stack[1].(*ast.FuncDecl); ok && speaks.MatchString(function.Name.Name) {
			return true
		}
	}
	if call := argumentOf(n, stack); call != nil {
		name, _ := calleeName(call.Fun)
		return talking(call) || small(n) && (method(call) && perhaps.MatchString(name) || besideError(n, call))
	}
	return s.spoken(n, stack)
}

// ofJob reports whether a field is the statement of a jobs.Index or a jobs.Rebuild, which makes in small batches
// what that says.
func ofJob(key ast.Expr, stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	list, ok := stack[len(stack)-2].(*ast.CompositeLit)
	if !ok {
		return false
	}
	kind, ok := list.Type.(*ast.SelectorExpr)
	if !ok || rootName(kind.X) != "jobs" {
		return false
	}
	field := rootName(key)
	return kind.Sel.Name == "Index" && field == "Create" || kind.Sel.Name == "Rebuild" && field == "Schema"
}

// named reports whether a key of a map says that its value is for people.
func named(key ast.Expr) bool {
	lit, ok := key.(*ast.BasicLit)
	return ok && shown.MatchString(strings.Trim(lit.Value, "\"`")) || ok && speaks.MatchString(strings.Trim(lit.Value, "\"`"))
}

func method(call *ast.CallExpr) bool {
	_, ok := call.Fun.(*ast.SelectorExpr)
	return ok
}

func talking(call *ast.CallExpr) bool {
	name, qualified := calleeName(call.Fun)
	if strings.HasPrefix(qualified, "fmt.Fprint") || qualified == "io.WriteString" {
		return len(call.Args) > 0 && toPeople(call.Args[0])
	}
	return talks.MatchString(qualified) || searches.MatchString(qualified) || strings.HasSuffix(qualified, ".Errorf") ||
		method(call) && talks.MatchString("x."+name) && !runsSQL.MatchString(name)
}

// toPeople reports whether a writer is a terminal or an HTTP response.
func toPeople(w ast.Expr) bool {
	switch n := w.(type) {
	case *ast.SelectorExpr:
		return n.Sel.Name == "Stderr" || n.Sel.Name == "Stdout"
	case *ast.Ident:
		return n.Name == "stderr" || n.Name == "stdout"
	case *ast.CallExpr:
		name, _ := calleeName(n.Fun)
		return strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "Out")
	}
	return false
}

// spoken reports whether the name of a string says that it is for people. A name in
// capitals, or a statement in capitals, does not count.
func (s *scan) spoken(n ast.Node, stack []ast.Node) bool {
	name := specName(n, stack)
	return name != nil && small(n) && shown.MatchString(name.Name) &&
		!s.pkg.isHanded(name.Name) && (s.within == nil || !s.localsOf(s.within).marked[name.Name])
}

// besideError reports whether a string follows an error in a call: it says what failed.
func besideError(n ast.Node, call *ast.CallExpr) bool {
	return slices.ContainsFunc(call.Args, func(arg ast.Expr) bool {
		name, ok := arg.(*ast.Ident)
		return ok && arg.End() < n.Pos() && (name.Name == "err" || strings.HasSuffix(name.Name, "Err"))
	})
}

// small reports whether a string begins with a lower-case letter.
func small(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return small(n.X)
	case *ast.CallExpr:
		return len(n.Args) > 0 && joins[qualifiedName(n)] && small(n.Args[0])
	}
	lit, ok := n.(*ast.BasicLit)
	return ok && len(lit.Value) > 1 && 'a' <= lit.Value[1] && lit.Value[1] <= 'z'
}
