package schemadiff

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// ErrOption is returned for an option that names nothing in the schemas.
var ErrOption = errors.New("an option names what is not there")

// checkOptions refuses options that name nothing: mostly they are misspelled.
func (p *planner) checkOptions(now *Schema) error {
	for _, name := range p.AllowDrop {
		tableName, columnName, _ := strings.Cut(name, ".")
		t := now.tables[lite.FoldName(tableName)]
		if t == nil {
			t = now.tables[lite.FoldName(p.renamedFrom(tableName))]
		}
		if t == nil || columnName != "" && t.column(columnName) == nil {
			return fmt.Errorf("%w: --allow-drop %s, which the database does not have", ErrOption, name)
		}
	}
	for _, s := range p.Set {
		if t := p.wanted.tables[lite.FoldName(s.Table)]; t == nil || t.column(s.Column) == nil {
			return fmt.Errorf("%w: --set %s.%s, which the schema does not have", ErrOption, s.Table, s.Column)
		}
	}
	return nil
}

// renamedFrom is the name that a table has now which gets another; "" for one that does not.
func (o Options) renamedFrom(to string) string {
	for _, r := range o.Renames {
		if lite.SameName(r.To, to) && !strings.Contains(r.From, ".") {
			return r.From
		}
	}
	return ""
}

// renames plans tables and columns that get other names: tables first.
func (p *planner) renames(ctx context.Context, now *Schema) error {
	ordered := slices.Clone(p.Renames)
	slices.SortStableFunc(ordered, func(a, b Rename) int { return strings.Count(a.From, ".") - strings.Count(b.From, ".") })
	p.current = now
	p.findPending()
	for _, r := range ordered {
		c, err := p.rename(now, r)
		if err != nil {
			return err
		}
		p.add(ctx, c)
	}
	p.pending = nil
	return nil
}

func (p *planner) rename(now *Schema, r Rename) (Change, error) {
	tableName, columnName, ofColumn := strings.Cut(r.From, ".")
	if !ofColumn {
		was, is := now.tables[lite.FoldName(r.From)], p.wanted.tables[lite.FoldName(r.To)]
		switch {
		case was == nil:
			return Change{}, fmt.Errorf("%w: --rename %s=%s: the database has no table %[2]s", ErrOption, r.From, r.To)
		case is == nil, now.tables[lite.FoldName(r.To)] != nil, p.wanted.tables[lite.FoldName(r.From)] != nil:
			return Change{}, fmt.Errorf("%w: --rename %s=%s: the schema must have a table %[3]s and none %[2]s, and the database none %[3]s", ErrOption, r.From, r.To)
		}
		p.liveOf[lite.FoldName(r.To)] = was.name
		c := newChange(was.name+": rename", was.name, Plain, "ALTER TABLE "+lite.Ident(was.name)+" RENAME TO "+lite.Ident(is.name))
		c.Why, c.Cost = []string{"the table is called " + is.name}, plainCost(0, 0)
		return c, nil
	}

	if to := p.renamedTo(tableName); to != "" {
		tableName = to
	}
	was, is := now.tables[lite.FoldName(p.liveName(tableName))], p.wanted.tables[lite.FoldName(tableName)]
	switch {
	case was == nil || was.column(columnName) == nil:
		return Change{}, fmt.Errorf("%w: --rename %s=%s: the database has no column %[2]s", ErrOption, r.From, r.To)
	case is == nil, is.column(r.To) == nil, is.column(columnName) != nil, was.column(r.To) != nil:
		return Change{}, fmt.Errorf("%w: --rename %s=%s: the schema must have a column %[3]s of that table and none %[2]s, and the database none %[3]s", ErrOption, r.From, r.To)
	}
	c := newChange(is.name+": rename "+columnName, is.name, Plain,
		"ALTER TABLE "+lite.Ident(is.name)+" RENAME COLUMN "+lite.Ident(columnName)+" TO "+lite.Ident(r.To))
	c.Why, c.Cost = []string{"column " + columnName + " is called " + r.To}, plainCost(0, 0)
	return c, nil
}

// renamedTo is the name that a table gets, "" if it keeps its own.
func (o Options) renamedTo(from string) string {
	for _, r := range o.Renames {
		if lite.SameName(r.From, from) {
			return r.To
		}
	}
	return ""
}

// liveColumn is the name of a column in the live database.
func (p *planner) liveColumn(table, column string) string {
	for _, r := range p.Renames {
		name, from, ofColumn := strings.Cut(r.From, ".")
		if ofColumn && lite.SameName(r.To, column) && (lite.SameName(name, table) || lite.SameName(name, p.liveName(table))) {
			return from
		}
	}
	return column
}
