package schemadiff

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// Options say what the schemas alone do not.
type Options struct {
	Renames   []Rename
	AllowDrop []string // tables, and columns as table.column, that may go
	Ignore    []string // patterns of tables that are left alone
	Set       []Set
	MaxHold   time.Duration // a change that would hold the writer for longer is a rebuild
}

// Rename is a table or, where From has a dot, a column with another name.
type Rename struct{ From, To string }

// Set is the value of a column in a table that is rebuilt.
type Set struct{ Table, Column, Expr string }

// Way is how a change is made.
type Way string

const (
	Plain   Way = "plain"   // by statements that change the schema alone, or a small table
	Index   Way = "index"   // of indexes, on the live table
	Rebuild Way = "rebuild" // by a copy of the table, in batches
)

// Change is a step of the way from one schema to the other.
type Change struct {
	jobs.Change
	Way   Way
	Why   []string // the differences that it removes
	Cost  Cost
	Kept  string // the table in which the data is that would be lost; "" for none
	Notes []string
}

// MarshalJSON has null where there is nothing.
func (c Change) MarshalJSON() ([]byte, error) {
	type set struct {
		Column string `json:"column"`
		Expr   string `json:"expr"`
	}
	sets := []set{}
	for _, a := range c.Set {
		sets = append(sets, set(a))
	}
	return json.Marshal(struct {
		Name       string   `json:"name"`
		Table      string   `json:"table"`
		Way        Way      `json:"way"`
		Why        []string `json:"why"`
		Statements []string `json:"statements"`
		Rebuild    *string  `json:"rebuild"`
		Set        []set    `json:"set"`
		Then       []string `json:"then"`
		Cost       Cost     `json:"cost"`
		Kept       *string  `json:"kept"`
		Notes      []string `json:"notes"`
	}{c.Name, c.Table, c.Way, c.Why, c.Statements, orNull(c.Rebuild), sets, c.Then, c.Cost, orNull(c.Kept), c.Notes})
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Refusal is a difference that is left, and why.
type Refusal struct {
	What string `json:"what"` // table, table.column, or the kind and name of another object
	Why  string `json:"why"`  // and the way out
}

// Plan is how a database comes to a schema.
type Plan struct {
	Goal    string    `json:"goal"` // tells the wanted schema from any other
	Changes []Change  `json:"changes"`
	Refused []Refusal `json:"refused"`
	Alone   []Alone   `json:"left_alone"`
}

// Same reports whether there is nothing to do, and nothing refused.
func (p *Plan) Same() bool { return len(p.Changes)+len(p.Refused) == 0 }

// Job is the plan as a job.
func (p *Plan) Job(name string) jobs.Schema {
	job := jobs.Schema{Name: name, Goal: p.Goal}
	for _, c := range p.Changes {
		job.Changes = append(job.Changes, c.Change)
	}
	return job
}

// Goal tells the schema from any other that SQLite would treat in another way.
func (s *Schema) Goal() string {
	var lines []string
	for _, key := range lite.SortedKeys(s.tables) {
		t := s.tables[key]
		lines = append(lines, "table "+key)
		lines = append(lines, t.rest...)
		for _, c := range t.columns {
			lines = append(lines, lite.FoldName(c.name)+" "+c.same)
		}
		for _, key := range lite.SortedKeys(t.indexes) {
			lines = append(lines, t.indexes[key].same)
		}
	}

	var loose []string
	for _, o := range s.loose {
		loose = append(loose, o.same)
	}
	slices.Sort(loose)
	sum := sha256.Sum256([]byte(strings.Join(append(lines, loose...), "\n")))
	return hex.EncodeToString(sum[:6])
}

// planner finds the way.
type planner struct {
	Options
	renamed renamings
	live    lite.Querier // one connection
	sim     *memory      // the schema as it is after the changes so far
	current *Schema      // before the changes, but with the new names
	wanted  *Schema
	pending []pending // views and triggers that are to change
	plan    *Plan
}

// pending is a view or trigger that is to go, to come, or to be another.
type pending struct {
	was, is *object
	gone    bool // it has been dropped
}

// Make plans the way from the schema of a live database to another one. It writes nothing.
func Make(ctx context.Context, db *sql.DB, wanted *Schema, opts Options) (*Plan, error) {
	live, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the connection: %w", err)
	}
	defer live.Close()
	p := &planner{Options: opts, live: live, wanted: wanted, plan: &Plan{Goal: wanted.Goal(), Changes: []Change{}, Refused: []Refusal{}, Alone: []Alone{}}}
	now, err := p.open(ctx, live)
	if err != nil {
		return nil, err
	}
	defer p.sim.close()
	p.plan.Alone = append(p.plan.Alone, now.Alone...)
	if len(Differences(now, wanted)) == 0 { // whatever the options, which may be those of the apply before
		return p.plan, nil
	}

	p.setApart(now)
	if err := p.readOptions(now); err != nil {
		return nil, err
	}
	if err := p.renames(ctx, now); err != nil {
		return nil, err
	}
	if p.current, err = Load(ctx, p.sim, opts.Ignore); err != nil {
		return nil, err
	}
	p.findPending()
	for _, make := range []func(context.Context) error{p.create, p.change, p.drop, p.finish} {
		if err := make(ctx); err != nil {
			return nil, err
		}
	}
	p.plan.checkSets(p.Set)
	return p.plan, p.verify(ctx)
}

// open reads the schema of the live database, and makes an empty copy of it, both as they are at one moment.
func (p *planner) open(ctx context.Context, live *sql.Conn) (now *Schema, err error) {
	tx, err := live.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("begin to read: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if now, err = Load(ctx, tx, p.Ignore); err != nil {
		return nil, err
	}
	p.sim, err = copyOf(ctx, tx)
	return now, err
}

// checkSets refuses values that nobody would use.
func (p *Plan) checkSets(sets []Set) {
	for _, s := range sets {
		used := slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Way == Rebuild && lite.SameName(c.Table, s.Table) })
		if !used && len(p.Refused) == 0 {
			p.refuse(s.Table+"."+s.Column, "the table is not rebuilt, so that --set has no use; for values alone there is 'chunkfill run'")
		}
	}
}

// setApart takes out of both schemas what cannot be made in memory.
func (p *planner) setApart(now *Schema) {
	for _, name := range lite.SortedKeys(p.sim.missing) {
		if was := now.tables[name]; was != nil {
			is := p.wanted.tables[name]
			if is == nil || len(differences(was, is)) > 0 {
				p.plan.refuse(was.name, "the database has it in a form that cannot be tried: %v; it can be ignored: --ignore %s", p.sim.missing[name], was.name)
			}
			p.wanted.without(name)
			continue
		}
		for _, t := range now.tables {
			if ix, ok := t.indexes[name]; ok && p.sim.missing[lite.FoldName(t.name)] == nil {
				p.plan.refuse("index "+ix.name, "the database has it in a form that cannot be tried: %v; its table can be ignored: --ignore %s", p.sim.missing[name], t.name)
			}
		}
		for _, o := range now.loose {
			if lite.FoldName(o.name) != name {
				continue
			}
			if at := p.wanted.find(o); at < 0 || p.wanted.loose[at].same != o.same {
				p.plan.refuse(o.kind+" "+o.name, "the database has it in a form that cannot be tried: %v", p.sim.missing[name])
			}
			p.wanted.loose = slices.DeleteFunc(p.wanted.loose, func(other object) bool { return other.key() == o.key() })
		}
	}
}

func (s *Schema) without(name string) {
	delete(s.tables, name)
	s.order = slices.DeleteFunc(s.order, func(n string) bool { return n == name })
	s.loose = slices.DeleteFunc(s.loose, func(o object) bool { return lite.FoldName(o.table) == name })
}

func (s *Schema) find(o object) int {
	return slices.IndexFunc(s.loose, func(other object) bool { return other.key() == o.key() })
}

func (p *Plan) refuse(what, why string, args ...any) {
	p.Refused = append(p.Refused, Refusal{what, fmt.Sprintf(why, args...)})
}

// refuseFor refuses what a rebuild says that it cannot do, in the words of the command.
func (p *Plan) refuseFor(what string, err error) {
	words := strings.NewReplacer(reshape.ErrShape.Error()+": ", "", "say in Set how", "say with --set how", "say one in Set", "say one with --set", "leave it out of Set", "leave it out of --set")
	p.refuse(what, "%s", words.Replace(err.Error()))
}

// findPending lists views and triggers that are to change.
func (p *planner) findPending() {
	for _, o := range p.current.loose {
		at := p.wanted.find(o)
		switch {
		case at < 0:
			p.pending = append(p.pending, pending{was: &o})
		case p.wanted.loose[at].same != o.same:
			is := p.wanted.loose[at]
			p.pending = append(p.pending, pending{was: &o, is: &is})
		}
	}
	for _, o := range p.wanted.loose {
		if p.current.find(o) < 0 {
			p.pending = append(p.pending, pending{is: &o})
		}
	}
}

// allowed reports whether something that holds data may go.
func (o Options) allowed(name string) bool {
	return slices.ContainsFunc(o.AllowDrop, func(a string) bool { return lite.SameName(a, name) })
}

// rows counts the rows of a table as it is now.
func (p *planner) rows(ctx context.Context, name string) (n int64, err error) {
	err = p.live.QueryRowContext(ctx, "SELECT count(*) FROM "+lite.Main(p.renamed.liveName(name))).Scan(&n)
	if err != nil {
		err = fmt.Errorf("count the rows of %s: %w", name, err)
	}
	return n, err
}
