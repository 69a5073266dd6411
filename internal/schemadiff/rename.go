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

// renaming is a table that gets another name; or, where column is not "", a column of a table that is called so by then.
type renaming struct{ table, column, to string }

type renamings []renaming

// split finds the table and, behind a dot, the column that an option names. Both may have dots of their own.
func (s *Schema) split(name string) (t *table, column string) {
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '.') {
		if t := s.tables[lite.FoldName(name[:end])]; t != nil {
			return t, strings.TrimPrefix(name[end:], ".")
		}
	}
	return nil, ""
}

func (s *Schema) has(table string) bool { return s.tables[lite.FoldName(table)] != nil }

// find is split in the live schema, where a table may also be called what it is to be called.
func (all renamings) find(now, wanted *Schema, name string) (t *table, column string) {
	if t, column = now.split(name); t != nil {
		return t, column
	}
	if is, column := wanted.split(name); is != nil {
		return now.tables[lite.FoldName(all.liveName(is.name))], column
	}
	return nil, ""
}

// readOptions refuses options that name nothing: mostly they are misspelled.
func (p *planner) readOptions(now *Schema) error {
	var err error
	if p.renamed, err = readRenames(p.Renames, now, p.wanted); err != nil {
		return err
	}
	for _, name := range p.AllowDrop {
		if t, column := p.renamed.find(now, p.wanted, name); t == nil || column != "" && t.column(column) == nil {
			return fmt.Errorf("%w: --allow-drop %s, which the database does not have", ErrOption, name)
		}
	}
	p.Set = slices.Clone(p.Set)
	for i, s := range p.Set {
		t, column := p.wanted.split(s.Table + "." + s.Column)
		if t == nil || t.column(column) == nil {
			return fmt.Errorf("%w: --set %s.%s, which the schema does not have", ErrOption, s.Table, s.Column)
		}
		p.Set[i].Table, p.Set[i].Column = t.name, column
	}
	return nil
}

// readRenames finds what is to get another name: tables first, and a column before another one gets its name.
func readRenames(wish []Rename, now, wanted *Schema) (all renamings, err error) {
	for _, r := range wish {
		if t := now.tables[lite.FoldName(r.From)]; t != nil {
			all = append(all, renaming{table: t.name, to: r.To})
		}
	}
	var columns renamings
	for _, r := range wish {
		t, column := all.find(now, wanted, r.From)
		switch {
		case t == nil && now.has(r.To) && wanted.has(r.To), t != nil && column != "" && t.column(column) == nil && t.column(r.To) != nil:
			// an apply that was cancelled has got so far
		case t == nil || column != "" && t.column(column) == nil:
			return nil, fmt.Errorf("%w: --rename %s=%s, which the database does not have", ErrOption, r.From, r.To)
		case column != "":
			columns = append(columns, renaming{all.newName(t.name), column, r.To})
		}
	}

	for len(columns) > 0 {
		free := slices.IndexFunc(columns, func(r renaming) bool { return !columns.leave(r.table, r.to) })
		free = max(0, free) // two that exchange their names are refused when they are tried
		all = append(all, columns[free])
		columns = slices.Delete(columns, free, free+1)
	}
	return all, nil
}

// leave reports whether a column of this name gets another one.
func (all renamings) leave(table, column string) bool {
	return slices.ContainsFunc(all, func(r renaming) bool { return lite.SameName(r.table, table) && lite.SameName(r.column, column) })
}

// give reports whether a column gets this name.
func (all renamings) give(table, column string) bool { return all.liveColumn(table, column) != column }

// renames plans what gets another name.
func (p *planner) renames(ctx context.Context, now *Schema) error {
	p.current = now
	p.findPending()
	for _, r := range p.renamed {
		rename := p.renameTable
		if r.column != "" {
			rename = p.renameColumn
		}
		c, err := rename(now, r)
		if err != nil {
			return err
		}
		c.Cost = plainCost(0, 0)
		p.add(ctx, c)
	}
	p.pending = nil
	return nil
}

func (p *planner) renameTable(now *Schema, r renaming) (Change, error) {
	is := p.wanted.tables[lite.FoldName(r.to)]
	if is == nil || now.tables[lite.FoldName(r.to)] != nil || p.wanted.tables[lite.FoldName(r.table)] != nil {
		return Change{}, fmt.Errorf("%w: --rename %s=%s: the schema must have a table %[3]s and none %[2]s, and the database none %[3]s", ErrOption, r.table, r.to)
	}
	c := newChange(r.table+": rename", r.table, Plain, "ALTER TABLE "+lite.Ident(r.table)+" RENAME TO "+lite.Ident(is.name))
	c.Why = []string{"the table is called " + is.name}
	return c, nil
}

func (p *planner) renameColumn(now *Schema, r renaming) (Change, error) {
	was, is := now.tables[lite.FoldName(p.renamed.liveName(r.table))], p.wanted.tables[lite.FoldName(r.table)]
	switch {
	case is == nil, is.column(r.to) == nil, is.column(r.column) != nil && !p.renamed.give(r.table, r.column),
		was.column(r.to) != nil && !p.renamed.leave(r.table, r.to):
		return Change{}, fmt.Errorf("%w: --rename %s.%s=%s: the schema must have a column %[4]s of that table and none %[3]s, and the database none %[4]s",
			ErrOption, r.table, r.column, r.to)
	}
	c := newChange(is.name+": rename "+r.column, is.name, Plain,
		"ALTER TABLE "+lite.Ident(is.name)+" RENAME COLUMN "+lite.Ident(r.column)+" TO "+lite.Ident(is.column(r.to).name))
	c.Why = []string{"column " + r.column + " is called " + r.to}
	return c, nil
}

// newName is the name that a table of the live database gets, or keeps.
func (all renamings) newName(live string) string {
	for _, r := range all {
		if r.column == "" && lite.SameName(r.table, live) {
			return r.to
		}
	}
	return live
}

// liveName is the name of a table in the live database.
func (all renamings) liveName(name string) string {
	for _, r := range all {
		if r.column == "" && lite.SameName(r.to, name) {
			return r.table
		}
	}
	return name
}

// liveColumn is the name of a column in the live database.
func (all renamings) liveColumn(table, column string) string {
	for _, r := range all {
		if r.column != "" && lite.SameName(r.table, table) && lite.SameName(r.to, column) {
			return r.column
		}
	}
	return column
}
