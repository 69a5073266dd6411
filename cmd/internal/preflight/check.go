package preflight

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/goscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/waiver"
)

// Input is what a check looks at.
type Input struct {
	Sources []Source
	Config  Config

	// Change is whether the sources are what one change touches: a table that it
	// creates is new. Otherwise only tables of the same file are.
	Change bool

	// Body is that of the pull request; nil if there is none.
	Body *string

	// Siblings returns the other Go files of a file's package, and Definitions
	// the files that define tables. Both may be nil and are called only when a
	// verdict depends on them.
	Siblings    func(path string) ([]Source, error)
	Definitions func() ([]Source, error)
}

// Check judges every statement of the input. An error means that it could not.
func Check(in Input) (*Report, error) {
	c := &checker{Input: in, units: scanAll(in.Sources, in.Config.async()), schema: newSchema(in.Config)}
	c.report = &Report{Files: len(in.Sources), Accepted: map[string]int{}}
	for _, u := range c.units {
		c.schema.learn(u)
	}
	if err := c.define(); err != nil {
		return nil, err
	}
	for _, u := range c.units {
		if err := c.judge(u); err != nil {
			return nil, err
		}
	}
	c.judgeBody()
	c.report.sort()
	return c.report, nil
}

type checker struct {
	Input
	units  []*unit
	schema *schema
	report *Report
}

// scanAll scans files in parallel and keeps their order.
func scanAll(sources []Source, async []string) []*unit {
	units := make([]*unit, len(sources))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(sources)) {
		wg.Go(func() {
			for i := range next {
				units[i] = scanSource(sources[i], async)
			}
		})
	}
	for i := range sources {
		next <- i
	}
	close(next)
	wg.Wait()
	return units
}

// define reads the definitions of tables from the rest of the project if a
// statement is bound to a column that may be a key.
func (c *checker) define() error {
	open := func(h hit) bool { return len(h.Pinned) > 0 && !c.schema.tables[strings.ToLower(h.Table)] }
	if c.Definitions == nil || !slices.ContainsFunc(c.units, func(u *unit) bool { return slices.ContainsFunc(u.hits, open) }) {
		return nil
	}
	sources, err := c.Definitions()
	if err != nil {
		return fmt.Errorf("read definitions of tables: %w", err)
	}
	for _, u := range scanAll(sources, nil) {
		c.schema.learn(u)
	}
	return nil
}

func (c *checker) judge(u *unit) error {
	if u.err != nil {
		c.report.Findings = append(c.report.Findings, u.finding(codeUnreadable, errorLine(u.err), u.err.Error()))
	}
	before := c.acceptedBefore(u)
	for _, h := range u.hits {
		if err := c.judgeHit(u, h, before); err != nil {
			return err
		}
	}
	for _, n := range u.notes {
		if code := n.complaint(); code != "" && u.added(n.line, n.line) {
			c.report.Findings = append(c.report.Findings, u.noteFinding(code, n))
		}
	}
	return nil
}

func (c *checker) judgeHit(u *unit, h hit, before map[string]bool) error {
	code := statementCode(h.Statement)
	if code == "" || c.schema.bound(h) {
		return nil
	}
	for _, n := range h.note {
		u.notes[n].needed = true
	}
	if c.Config.disabled(code) || c.onNewTable(u, h) {
		return nil
	}
	accepted, err := c.accepted(u, h)
	if err != nil {
		return err
	}
	added := u.added(h.start, h.end)
	lost := accepted == "" && before[oneLine(h.text)]
	switch {
	case !added && !lost:
	case accepted != "":
		c.report.Accepted[accepted]++
	default:
		c.report.Findings = append(c.report.Findings, u.statementFinding(h, code, lost && !added))
	}
	return nil
}

// accepted tells by what the code accepts a statement, or "".
func (c *checker) accepted(u *unit, h hit) (string, error) {
	if h.async {
		return byCall, nil
	}
	if h.annotated {
		return byAnnotation, nil
	}
	if h.holder == "" {
		return "", nil
	}
	ok, err := c.heldAsync(u, h.holder)
	if err != nil || !ok {
		return "", err
	}
	return byCall, nil
}

// heldAsync reports whether the name that a statement is reached by is used in
// async calls only, throughout its package.
func (c *checker) heldAsync(u *unit, name string) (bool, error) {
	files := []Source{u.Source}
	if c.Siblings != nil {
		siblings, err := c.Siblings(u.Path)
		if err != nil {
			return false, fmt.Errorf("read the package of %s: %w", u.Path, err)
		}
		files = append(files, siblings...)
	}
	return heldBy(name, files, c.Config.async()), nil
}

func heldBy(name string, files []Source, async []string) bool {
	inside, outside := 0, 0
	for _, f := range files {
		in, out := goscan.Uses(f.Path, f.Text, name, async)
		inside, outside = inside+in, outside+out
	}
	return inside > 0 && outside == 0
}

// onNewTable reports whether an index is on a table that the same change
// creates. IF NOT EXISTS says that either may be there already.
func (c *checker) onNewTable(u *unit, h hit) bool {
	if h.Kind != sqlscan.CreateIndex || h.IfNotExists || h.Table == "" {
		return false
	}
	for _, other := range c.units {
		if other != u && !c.Change {
			continue
		}
		if slices.ContainsFunc(other.hits, func(t hit) bool {
			return t.Kind == sqlscan.CreateTable && !t.IfNotExists && strings.EqualFold(t.Table, h.Table) && other.added(t.start, t.end)
		}) {
			return true
		}
	}
	return false
}

// acceptedBefore lists the statements that the file as it was had a decision
// for: to remove the decision and leave the statement is a change, too.
func (c *checker) acceptedBefore(u *unit) map[string]bool {
	if u.Old == nil {
		return nil
	}
	list := map[string]bool{}
	old := scanSource(Source{Path: u.Path, Text: u.Old}, c.Config.async())
	for _, h := range old.hits {
		if h.async || h.annotated || h.holder != "" && heldBy(h.holder, []Source{old.Source}, c.Config.async()) {
			list[oneLine(h.text)] = true
		}
	}
	return list
}

// judgeBody lets good scale lines accept what is left of the statements.
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
