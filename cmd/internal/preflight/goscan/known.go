package goscan

import (
	"go/ast"
	"slices"
	"strings"
)

// known reports whether every possible value of an expression is checked elsewhere: a
// parameter, where the function is called; a literal, where it is written; a file, on its
// own. Any other value is executed unchecked.
func (s *scan) known(e ast.Expr) bool {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > maxDepth {
		return false
	}
	switch n := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit:
		return true
	case *ast.ParenExpr:
		return s.known(n.X)
	case *ast.StarExpr:
		return s.known(n.X)
	case *ast.UnaryExpr:
		return s.known(n.X)
	case *ast.IndexExpr:
		return s.known(n.X)
	case *ast.SliceExpr:
		return s.known(n.X)
	case *ast.BinaryExpr:
		return s.known(n.X)
	case *ast.SelectorExpr:
		return s.knownField(n)
	case *ast.Ident:
		return s.knownName(n)
	case *ast.CallExpr:
		return s.begins(n) || s.knownCall(n)
	}
	return false
}

// begins reports whether an assembled text has known first words: it is judged as a
// statement where it is assembled.
func (s *scan) begins(n *ast.CallExpr) bool {
	if !isText(n) {
		return false
	}
	outer := s.seen
	s.seen = map[ast.Expr]bool{}
	var t text
	s.join(&t, n)
	s.seen = outer
	return !strings.HasPrefix(strings.TrimSpace(string(t.sql)), hole)
}

func (s *scan) knownName(n *ast.Ident) bool {
	if s.within == nil {
		return s.pkg.declares(n.Name)
	}
	l := s.localsOf(s.within)
	s.budget -= len(l.events[n.Name])
	events := l.scope(n.Name, n.Pos())
	if len(events) == 0 {
		return l.params[n.Name] || s.pkg.declares(n.Name)
	}
	if s.budget -= 8 * len(events); s.budget < 0 || l.following[n.Name] {
		return s.budget >= 0
	}
	l.following[n.Name] = true
	defer delete(l.following, n.Name)
	for _, e := range events {
		if e.list != nil && !s.known(e.list) || !e.reset && !s.anyBegins(events) && slices.ContainsFunc(e.parts, s.fragmentary) {
			return false
		}
		for _, part := range e.parts {
			if !s.known(part) {
				return false
			}
		}
	}
	return true
}

// anyBegins reports whether a name was assigned the first words of something before the
// rest was appended.
func (s *scan) anyBegins(events []event) bool {
	return slices.ContainsFunc(events, func(e event) bool { return e.reset && len(e.parts) > 0 && !s.fragmentary(e.parts[0]) })
}

// fragmentary reports whether a value is no more than a word, or is unknown.
func (s *scan) fragmentary(e ast.Expr) bool {
	if !isText(e) {
		return fragment(e) || !s.knownList(e)
	}
	var t text
	outer := s.seen
	s.seen = map[ast.Expr]bool{}
	s.join(&t, e)
	s.seen = outer
	return len(strings.Fields(string(t.sql))) < 2
}

func (s *scan) knownList(e ast.Expr) bool {
	_, list := e.(*ast.CompositeLit)
	return list || s.known(e)
}

// knownField handles x.f: a name of another package, which is checked where it is declared,
// or a field that a literal of the package sets.
func (s *scan) knownField(n *ast.SelectorExpr) bool {
	if x, ok := n.X.(*ast.Ident); ok {
		if path, ok := s.imported[x.Name]; ok && (s.within == nil || len(s.localsOf(s.within).events[x.Name]) == 0) {
			return strings.Contains(path, ".")
		}
		if s.within != nil {
			for _, e := range s.localsOf(s.within).events[x.Name] {
				if e.list != nil && s.known(e.list) {
					return true
				}
			}
		}
	}
	return s.pkg.gives(n.Sel.Name)
}

// builds reports whether the file imports a package whose calls generate SQL; one hint says
// that it is not checked.
func (s *scan) builds() bool {
	for _, path := range s.imported {
		if Builder(path) != "" {
			return true
		}
	}
	return false
}

func (s *scan) knownCall(n *ast.CallExpr) bool {
	name, qualified := calleeName(n.Fun)
	x := ""
	if f, ok := n.Fun.(*ast.SelectorExpr); ok {
		x = rootName(f.X)
	}
	switch {
	case joins[qualified]:
		return false // it has no known first words, or begins would have found them
	case passes[qualifiedName(n)] && len(n.Args) > 0, x == "strings":
		return s.known(n.Args[0])
	case name == "append":
		return !slices.ContainsFunc(n.Args, func(arg ast.Expr) bool { return !s.known(arg) || fragment(arg) })
	case name == "ReadFile" && x != "os" && x != "ioutil":
		return s.pkg.embeds()
	case name == "String" && len(n.Args) == 0:
		return s.onlyHanded(x) && s.knownName(&ast.Ident{Name: x, NamePos: n.Pos()})
	case name == "ReadFile" && len(n.Args) == 1:
		lit, ok := n.Args[0].(*ast.BasicLit)
		return ok && strings.HasSuffix(strings.ToLower(strings.Trim(lit.Value, "\"`")), ".sql")
	case s.imported[x] == "" && s.pkg.declares(name):
		return true // the strings that it returns are checked there
	}
	return s.builds() || slices.ContainsFunc(n.Args, s.statement) // one is filled in, and is checked where it is written
}

// statement reports whether an expression is a text that begins like SQL.
func (s *scan) statement(e ast.Expr) bool {
	if lit, ok := e.(*ast.BasicLit); ok && worth([]byte(lit.Value)) {
		return true
	}
	if !isText(e) {
		return false
	}
	var t text
	outer := s.seen
	s.seen = map[ast.Expr]bool{}
	s.join(&t, e)
	s.seen = outer
	return sqlWords.Match(t.sql)
}

// fragment reports whether a literal is a word of a statement, and not a statement by
// itself.
func fragment(e ast.Expr) bool {
	if call, ok := e.(*ast.CallExpr); ok && passes[qualifiedName(call)] && len(call.Args) > 0 {
		return fragment(call.Args[0])
	}
	lit, ok := e.(*ast.BasicLit)
	return ok && len(strings.Fields(lit.Value)) < 2
}

// gives reports whether a composite literal of the package sets a field.
func (p *Package) gives(field string) bool {
	p.load()
	for _, f := range p.files {
		if f.given == nil {
			f.given = map[string]bool{}
			ast.Inspect(f.tree, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok {
						f.given[key.Name] = true
					}
				}
				return true
			})
		}
		if f.given[field] {
			return true
		}
	}
	return false
}

// builders lists the packages that generate SQL from calls, by the prefix of their paths.
var builders = []struct{ path, name string }{
	{"gorm.io/", "GORM"}, {"github.com/jinzhu/gorm", "GORM"}, {"entgo.io/ent", "ent"}, {"github.com/facebook/ent", "ent"},
	{"xorm.io/", "XORM"}, {"github.com/go-xorm/", "XORM"}, {"github.com/uptrace/bun", "Bun"}, {"github.com/volatiletech/sqlboiler", "SQLBoiler"},
	{"github.com/aarondl/sqlboiler", "SQLBoiler"}, {"github.com/Masterminds/squirrel", "Squirrel"}, {"github.com/doug-martin/goqu", "goqu"},
	{"github.com/go-gorp/gorp", "gorp"}, {"gopkg.in/gorp", "gorp"}, {"github.com/upper/db", "upper/db"}, {"upper.io/db", "upper/db"},
	{"github.com/gobuffalo/pop", "Pop"}, {"github.com/go-rel/", "REL"}, {"github.com/go-jet/jet", "Jet"}, {"github.com/beego/beego", "Beego ORM"},
	{"github.com/astaxie/beego/orm", "Beego ORM"}, {"github.com/pocketbase/dbx", "dbx"}, {"github.com/huandu/go-sqlbuilder", "go-sqlbuilder"},
	{"github.com/stephenafamo/bob", "Bob"}, {"github.com/go-ozzo/ozzo-dbx", "ozzo-dbx"}, {"github.com/gocraft/dbr", "dbr"},
	{"github.com/mithrandie/csvq", ""}, {"github.com/leporo/sqlf", "sqlf"}, {"github.com/samonzeweb/godb", "godb"}, {"gorm.io", "GORM"},
}

// Builder returns the name of the ORM or query builder that an import belongs to, or "".
func Builder(path string) string {
	for _, b := range builders {
		if strings.HasPrefix(path, b.path) && !strings.HasPrefix(path, "github.com/beego/beego/v2/core") {
			return b.name
		}
	}
	return ""
}
