package goscan

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
)

// Source is a file of a package.
type Source struct {
	Path string
	Text []byte
}

// Package is the Go code of a folder. Its other files are read when a name is looked up
// that the file at hand does not declare.
type Package struct {
	// Async lists functions and methods, as "Name" or "x.Name", that run their argument
	// outside the boot path.
	Async []string

	// Others returns the package's files; it may be nil.
	Others func() ([]Source, error)
	Err    error // error of Others

	files   map[string]*file
	rest    []Source // the given files, and what Others returned
	asked   bool
	all     bool // all of them have been parsed
	runners map[string]runner
	handed  map[string]bool // names and fields whose values are executed
}

func (p *Package) parsed(name string, src []byte) *file {
	if f := p.files[name]; f != nil {
		return f
	}
	f := parse(name, src, parser.ParseComments)
	f.consts = constants(f.tree)
	f.index(p.Async)
	if p.files == nil {
		p.files = map[string]*file{}
	}
	p.files[name] = f
	p.runners = nil
	return f
}

// load reads the rest of the package, once.
func (p *Package) load() {
	if p.all {
		return
	}
	p.all = true
	for _, s := range p.others() {
		p.parsed(s.Path, s.Text)
	}
}

func (p *Package) others() []Source {
	if !p.asked && p.Others != nil {
		p.asked = true
		rest, err := p.Others()
		p.rest, p.Err = append(p.rest, rest...), err
	}
	return p.rest
}

func (p *Package) hand(name string) {
	if p.handed == nil {
		p.handed = map[string]bool{}
	}
	p.handed[name] = true
}

func (p *Package) isHanded(name string) bool { return p.handed[name] }

// Prepare finds out what the calls in files execute, so that the order in which they are
// scanned does not matter.
func (p *Package) Prepare(ctx context.Context, sources []Source) {
	p.rest = sources
	for _, src := range sources {
		if ctx.Err() != nil {
			return
		}
		if runs(src.Text) || worth(src.Text) {
			p.parsed(src.Path, src.Text)
		}
	}
	for _, f := range p.files {
		s := &scan{file: f, pkg: p, marked: map[ast.Expr]bool{}}
		for _, x := range s.places() {
			s.enter(x.expr, x.stack)
			s.mark(x.expr, 0)
		}
		f.locals = map[*ast.FuncDecl]*locals{} // marks made there belong to that pass
	}
}

// constant returns a constant that another file declares, or the only value of a
// package-level variable.
func (p *Package) constant(name string) (ast.Expr, *file) {
	p.load()
	for _, f := range p.files {
		if e := f.consts[name]; e != nil {
			return e, f
		}
	}
	return nil, nil
}

// declares reports whether the package declares a name of any kind.
func (p *Package) declares(name string) bool {
	p.load()
	for _, f := range p.files {
		for _, decl := range f.tree.Decls {
			if declaresName(decl, name) {
				return true
			}
		}
	}
	return false
}

func declaresName(decl ast.Decl, name string) bool {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name == name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, id := range v.Names {
					if id.Name == name {
						return true
					}
				}
			}
		}
	}
	return false
}

// embeds reports whether a file of the package embeds files: they are checked on their own.
func (p *Package) embeds() bool {
	p.load()
	for _, f := range p.files {
		if len((&scan{file: f}).embeds()) > 0 {
			return true
		}
	}
	return false
}

// HeldAsync reports whether a name is used only in async calls throughout the package.
func (p *Package) HeldAsync(name string) bool {
	for _, s := range p.others() {
		if bytes.Contains(s.Text, []byte(name)) {
			p.parsed(s.Path, s.Text)
		}
	}
	var sum counts
	for _, f := range p.files {
		c := f.count(name, nil)
		sum.async, sum.all = sum.async+c.async, sum.all+c.all
	}
	return sum.async > 0 && sum.async == sum.all
}
