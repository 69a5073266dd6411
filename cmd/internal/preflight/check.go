package preflight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/goscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/waiver"
)

// Input is what a check works on.
type Input struct {
	Sources []Source
	Config  Config

	// Change says that the sources are the files of one change, so that a table it creates
	// is new. Otherwise only tables of the same file are.
	Change bool

	// Body is the body of the pull request; nil if there is none.
	Body *string

	// Siblings returns the other Go files of a file's package, Definitions the files that
	// define tables, and Embedded those that a Go file embeds. All may be nil, and are
	// called only if a verdict depends on them.
	Siblings    func(path string) ([]Source, error)
	Definitions func() ([]Source, error)
	Embedded    func(path string, patterns []string) ([]Source, error)
}

// Check checks every statement of the input. It returns an error if it could not, including
// when ctx has ended.
func Check(ctx context.Context, in Input) (*Report, error) {
	c := &checker{Input: in, reader: in.reader()}
	c.report = &Report{Files: len(in.Sources), Accepted: map[string]int{}, Foreign: map[string][]string{}}
	var err error
	if c.units, err = c.reader.scanAll(ctx, in.Sources); err != nil {
		return nil, err
	}
	if err := c.embedded(ctx); err != nil {
		return nil, err
	}
	definitions, err := c.define(ctx)
	if err != nil {
		return nil, err
	}
	c.recall()
	newTimeline(in.Config, in.Change, slices.Concat(c.units, definitions))
	for _, u := range c.units {
		if err := cmp.Or(ctx.Err(), c.judge(u)); err != nil {
			return nil, err
		}
	}
	c.leftAlone()
	c.judgeBody()
	c.report.sort()
	return c.report, nil
}

type checker struct {
	Input
	reader reader
	units  []*unit
	report *Report
}

func (in Input) reader() reader {
	s := reader{async: in.Config.async(), others: in.Siblings}
	if in.Config.Dialect == "sqlite" {
		s.dialect = in.Config.Dialect
	}
	return s
}

// scanAll scans files in parallel, those of a Go package together, and keeps their order.
func (s reader) scanAll(ctx context.Context, sources []Source) ([]*unit, error) {
	units := make([]*unit, len(sources))
	next := make(chan []int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(sources)) {
		wg.Go(func() {
			for batch := range next {
				s.scanBatch(ctx, sources, batch, units)
			}
		})
	}
	for _, batch := range batches(sources) {
		next <- batch
	}
	close(next)
	wg.Wait()
	return units, ctx.Err()
}

// batches returns the indexes of each package's Go files as one batch, and each other file
// as a batch of its own.
func batches(sources []Source) (list [][]int) {
	packages := map[string]int{}
	for i, src := range sources {
		folder := path.Dir(src.Path)
		if at, ok := packages[folder]; ok && isGo(src.Path) {
			list[at] = append(list[at], i)
			continue
		}
		if isGo(src.Path) {
			packages[folder] = len(list)
		}
		list = append(list, []int{i})
	}
	return list
}

func (s reader) scanBatch(ctx context.Context, sources []Source, batch []int, units []*unit) {
	var pkg *goscan.Package
	if isGo(sources[batch[0]].Path) {
		pkg = s.goPackage(sources[batch[0]])
		var files []goscan.Source
		for _, i := range batch {
			files = append(files, goscan.Source{Path: sources[i].Path, Text: sources[i].Text})
		}
		pkg.Prepare(ctx, files)
	}
	for _, i := range batch {
		if ctx.Err() != nil {
			return
		}
		units[i] = s.scan(sources[i], pkg)
	}
}

// embedded adds the files that Go files embed, if they contain SQL and are not sources
// themselves.
func (c *checker) embedded(ctx context.Context) error {
	if c.Embedded == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, u := range c.units {
		if len(u.embeds) == 0 || u.foreign != "" {
			continue
		}
		sources, err := c.Embedded(u.Path, u.embeds)
		if err != nil {
			return fmt.Errorf("read what %s embeds: %w", u.Path, err)
		}
		for _, src := range sources {
			if ctx.Err() != nil || seen[src.Path] || !utf8.Valid(src.Text) {
				continue
			}
			seen[src.Path] = true
			if e := c.reader.scanOne(src); e.holdsSQL() {
				c.units = append(c.units, e)
			}
		}
	}
	return ctx.Err()
}

// holdsSQL reports whether a file of another type is SQL: at least half of its contents was
// understood.
func (u *unit) holdsSQL() bool {
	understood := 0
	for _, h := range u.hits {
		if h.Kind != sqlscan.Unread {
			understood++
		}
	}
	return understood > 0 && understood*2 >= len(u.hits)
}

// define reads the definitions of the project's other tables, if a verdict depends on them.
func (c *checker) define(ctx context.Context) ([]*unit, error) {
	open := func(h hit) bool {
		return len(h.Pinned) > 0 || len(h.Lookups) > 0 || h.Kind == sqlscan.CreateIndex || h.Kind == sqlscan.TableCommand
	}
	if c.Definitions == nil || !slices.ContainsFunc(c.units, func(u *unit) bool { return slices.ContainsFunc(u.hits, open) }) {
		return nil, nil
	}
	sources, err := c.Definitions()
	if err != nil {
		return nil, fmt.Errorf("read definitions of tables: %w", err)
	}
	own := map[string]bool{}
	for _, u := range c.units {
		own[u.rooted()] = true
	}
	sources = slices.DeleteFunc(sources, func(s Source) bool { return own[s.rooted()] })
	for i := range sources {
		sources[i].Added = func(int) bool { return false }
	}
	return reader{async: c.reader.async, dialect: c.reader.dialect}.scanAll(ctx, sources)
}

// recall records which tables a file created before the change: they are not new, even if
// their lines are.
func (c *checker) recall() {
	for _, u := range c.units {
		if u.Old == nil {
			continue
		}
		u.older = map[string]bool{}
		u.before = c.reader.scanOne(Source{Path: u.Path, Root: u.Root, Text: u.Old})
		for _, h := range u.before.hits {
			if h.Kind == sqlscan.CreateTable {
				u.older[tableName(h.Database, h.Table)] = true
			}
		}
	}
}

func (c *checker) judge(u *unit) error {
	if u.err != nil {
		c.report.Findings = append(c.report.Findings, u.finding(codeUnreadable, errorLine(u.err), u.err.Error()))
	}
	before := u.acceptedBefore()
	found := map[[2]int]bool{} // by position: a string that is executed twice is reported once
	for i := range u.hits {
		h := &u.hits[i]
		if place := [2]int{h.start, h.column}; !found[place] && c.judgeHit(u, h, before) {
			found[place] = true
		}
	}
	for _, n := range u.notes {
		if code := n.complaint(); code != "" && u.added(n.line, n.line) {
			c.report.Findings = append(c.report.Findings, u.noteFinding(code, n))
		}
	}
	if u.pkg != nil && u.pkg.Err != nil {
		return fmt.Errorf("read the package of %s: %w", u.Path, u.pkg.Err)
	}
	return nil
}

// judgeHit reports whether a statement is a finding. An annotation accepts one statement,
// the first below it that needs it.
func (c *checker) judgeHit(u *unit, h *hit, before map[string]bool) bool {
	code := statementCode(h)
	if code == "" || h.bound {
		return false
	}
	for _, n := range h.note {
		u.notes[n].needed = true
	}
	if c.Config.disabled(code) || h.fresh {
		return false
	}
	accepted := u.accepted(h)
	added := u.added(h.from, h.end)
	lost := accepted == "" && before[oneLine(h.text)]
	switch {
	case !added && !lost:
	case accepted != "":
		c.report.Accepted[accepted]++
	default:
		c.report.Findings = append(c.report.Findings, u.statementFinding(*h, code, lost && !added))
		return true
	}
	return false
}

// accepted returns what in the code accepts a statement, or "".
func (u *unit) accepted(h *hit) string {
	if h.async {
		return byCall
	}
	for _, n := range h.note {
		if note := &u.notes[n]; note.err == nil && !note.spent {
			note.spent = true
			return byAnnotation
		}
	}
	if h.holder != "" && u.pkg.HeldAsync(h.holder) {
		return byCall
	}
	return ""
}

// acceptedBefore returns the statements for which the file had a decision before the
// change: removing the decision while leaving the statement is a change, too.
func (u *unit) acceptedBefore() map[string]bool {
	if u.before == nil {
		return nil
	}
	list := map[string]bool{}
	for i := range u.before.hits {
		if h := &u.before.hits[i]; u.before.decided(h) {
			list[oneLine(h.text)] = true
		}
	}
	return list
}

func (u *unit) decided(h *hit) bool {
	return h.async || slices.ContainsFunc(h.note, func(n int) bool { return u.notes[n].err == nil }) ||
		h.holder != "" && u.pkg.HeldAsync(h.holder)
}

// leftAlone counts what is for other databases, and reports packages whose generated SQL is
// not checked.
func (c *checker) leftAlone() {
	hints := map[string]*Hint{}
	for _, u := range c.units {
		switch {
		case u.foreign != "":
			c.report.Foreign[u.foreign] = append(c.report.Foreign[u.foreign], u.Path)
			continue
		case len(u.alone) > 0:
			for database := range u.alone {
				c.report.Foreign[database] = append(c.report.Foreign[database], u.Path)
			}
		}
		met := map[string]bool{}
		for _, i := range u.imports {
			name := goscan.Builder(i.Path)
			if name == "" || met[name] {
				continue
			}
			met[name] = true
			if hints[name] == nil {
				hints[name] = &Hint{Path: u.Path, Line: i.Line, Text: name + " generates SQL, which is not checked: changes made through it need a decision, too"}
			}
			hints[name].Files++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(hints)) {
		c.report.Hints = append(c.report.Hints, *hints[name])
	}
}

// judgeBody lets valid scale lines accept the remaining statements.
func (c *checker) judgeBody() {
	if c.Body == nil {
		return
	}
	for _, s := range waiver.FindScales(*c.Body) {
		switch {
		case s.Err != nil:
			c.report.Findings = append(c.report.Findings, scaleFinding(codeScale, s))
		case c.acceptStatements() == 0 && c.report.Accepted[byScale] == 0:
			c.report.Findings = append(c.report.Findings, scaleFinding(codeScaleUnused, s))
		}
	}
}

func (c *checker) acceptStatements() int {
	all := len(c.report.Findings)
	c.report.Findings = slices.DeleteFunc(c.report.Findings, func(f Finding) bool { return f.Cost != "" })
	n := all - len(c.report.Findings)
	if n > 0 {
		c.report.Accepted[byScale] += n
	}
	return n
}
