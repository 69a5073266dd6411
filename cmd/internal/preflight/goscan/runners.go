package goscan

import (
	"go/ast"
	"go/token"
)

// runner is a function that executes one of its arguments as SQL.
type runner struct {
	index    int
	variadic bool
	execs    bool // as a statement, not as a query
}

// flow is a parameter that a function passes on, to a database call or to another function.
type flow struct {
	function string
	param    runner
	callee   string // "" for a database call
	argument int
}

// runner returns a runner by its name. A function that passes its parameter on to a runner
// is a runner itself.
func (p *Package) runner(name string) (runner, bool) {
	if p.runners == nil {
		p.runners = p.allRunners()
	}
	r, ok := p.runners[name]
	return r, ok
}

func (p *Package) allRunners() map[string]runner {
	found := map[string]runner{}
	callers := map[string][]flow{}
	var fresh []flow
	for _, f := range p.files {
		for _, x := range f.flows() {
			if x.callee == "" {
				fresh = append(fresh, x)
			} else {
				callers[x.callee] = append(callers[x.callee], x)
			}
		}
	}
	for len(fresh) > 0 {
		x := fresh[len(fresh)-1]
		fresh = fresh[:len(fresh)-1]
		if _, twice := found[x.function]; twice {
			continue
		}
		found[x.function] = x.param
		for _, caller := range callers[x.function] {
			if caller.argument == x.param.index || x.param.variadic && caller.argument > x.param.index {
				caller.param.execs = x.param.execs
				fresh = append(fresh, caller)
			}
		}
	}
	return found
}

// flows returns what the functions of a file pass on, computed once.
func (f *file) flows() []flow {
	if f.handsOn == nil {
		f.handsOn = []flow{}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				f.flowsOf(n.Name.Name, n.Type, n.Body)
			case *ast.AssignStmt:
				if lit, ok := n.Rhs[0].(*ast.FuncLit); ok && len(n.Lhs) == 1 && rootName(n.Lhs[0]) != "" {
					f.flowsOf(rootName(n.Lhs[0]), lit.Type, lit.Body)
				}
			}
			return true
		})
	}
	return f.handsOn
}

func (f *file) flowsOf(function string, t *ast.FuncType, body *ast.BlockStmt) {
	if body == nil {
		return
	}
	params := parameters(t)
	if len(params) == 0 {
		return
	}
	from := map[string]string{} // the list that a loop variable, or another name, comes from
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.RangeStmt:
			from[rootName(n.Value)] = rootName(n.X)
		case *ast.AssignStmt:
			if len(n.Lhs) == 1 && len(n.Rhs) == 1 && rootName(n.Rhs[0]) != rootName(n.Lhs[0]) {
				from[rootName(n.Lhs[0])] = rootName(n.Rhs[0])
			}
		case *ast.CallExpr:
			f.flowsInto(function, n, func(e ast.Expr) (runner, bool) {
				name := rootName(e)
				for range maxDepth {
					if r, ok := params[name]; ok || from[name] == "" {
						return r, ok
					}
					name = from[name]
				}
				return runner{}, false
			})
		}
		return true
	})
}

func (f *file) flowsInto(function string, call *ast.CallExpr, param func(ast.Expr) (runner, bool)) {
	name, _ := calleeName(call.Fun)
	direct, runs := directly(call)
	for i, arg := range call.Args {
		r, ok := param(arg)
		switch {
		case !ok:
		case runs && arg == direct.expr:
			r.execs = direct.execs
			f.handsOn = append(f.handsOn, flow{function: function, param: r})
		case !runs && name != "" && name != function && !f.ofImport(call):
			f.handsOn = append(f.handsOn, flow{function: function, param: r, callee: name, argument: i})
		}
	}
}

// ofImport reports whether a call is one of another package.
func (f *file) ofImport(call *ast.CallExpr) bool {
	if s, ok := call.Fun.(*ast.SelectorExpr); ok {
		x, ok := s.X.(*ast.Ident)
		return ok && f.imported[x.Name] != ""
	}
	return false
}

// parameters returns the parameters that may hold a string or strings.
func parameters(t *ast.FuncType) map[string]runner {
	list, i := map[string]runner{}, 0
	for _, field := range t.Params.List {
		_, variadic := field.Type.(*ast.Ellipsis)
		for _, name := range field.Names {
			if mayBeText(field.Type) {
				list[name.Name] = runner{index: i, variadic: variadic, execs: true}
			}
			i++
		}
		if len(field.Names) == 0 {
			i++
		}
	}
	return list
}

func mayBeText(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.Ident:
		return t.Name == "string" || t.Name == "byte"
	case *ast.Ellipsis:
		return mayBeText(t.Elt)
	case *ast.ArrayType:
		return mayBeText(t.Elt)
	}
	return false
}

// rootName returns the name that an expression is based on, if it is one.
func rootName(e ast.Expr) string {
	switch n := e.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.ParenExpr:
		return rootName(n.X)
	case *ast.CallExpr:
		if passes[qualifiedName(n)] && len(n.Args) > 0 {
			return rootName(n.Args[0])
		}
	case *ast.BinaryExpr:
		if n.Op == token.ADD {
			return rootName(n.X)
		}
	}
	return ""
}
