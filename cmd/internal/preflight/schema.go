package preflight

import (
	"maps"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// table is what is known about a table at some moment.
type table struct {
	unit     *unit // in which it is created; nil for a table that existed before
	added    bool  // by the change, and did not exist before it
	perhaps  bool  // it may have existed before everything known here, because of IF NOT EXISTS
	filled   bool  // with an unknown number of rows
	known    bool  // all of its keys and columns are known
	borrowed bool  // another run creates it, this one changes it
	virtual  string
	columns  []string
	keys     []uniqueKey
}

// uniqueKey is a set of columns whose values identify one row, with the index that makes
// them unique; "" stands for the table itself.
type uniqueKey struct {
	index   string
	columns []string
}

// and returns what two definitions of a table have in common.
func (a *table) and(b *table) *table {
	if a == nil {
		c := *b
		c.keys = slices.Clone(b.keys)
		return &c
	}
	c := *a
	c.added, c.filled, c.known = a.added && b.added, a.filled || b.filled, a.known && b.known
	c.perhaps = a.perhaps || b.perhaps
	if a.unit != b.unit {
		c.unit = nil
	}
	c.columns = slices.DeleteFunc(slices.Clone(a.columns), func(name string) bool { return !slices.Contains(b.columns, name) })
	c.keys = slices.DeleteFunc(slices.Clone(a.keys), func(k uniqueKey) bool {
		return !slices.ContainsFunc(b.keys, func(other uniqueKey) bool { return slices.Equal(k.columns, other.columns) })
	})
	return &c
}

// state is the tables and indexes at some moment, layered over an earlier state.
type state struct {
	under   *state
	tables  map[string]*table // nil for a dropped table
	indexes map[string]string // the table of each index, "" for a dropped one
}

func (s *state) table(name string) (t *table, told bool) {
	for ; s != nil; s = s.under {
		if t, told = s.tables[name]; told {
			return t, true
		}
	}
	return nil, false
}

func (s *state) index(name string) (table string, told bool) {
	for ; s != nil; s = s.under {
		if table, told = s.indexes[name]; told {
			return table, true
		}
	}
	return "", false
}

// moment is the point in time at which a statement runs.
type moment struct {
	timeline *timeline
	run      *run
	state    *state
	others   bool // whether the results of other runs are known
}

// table returns a table as it is at this moment, or nil if nothing is known about it.
func (m moment) table(name string) *table {
	for _, name := range []string{name, "temp." + name} {
		if t, told := m.state.table(name); told {
			return t
		}
	}
	if !m.others {
		return nil
	}
	return m.timeline.outside(m.run, name)
}

// change returns a copy of a table, for this run to modify.
func (m moment) change(name string) *table {
	c := table{borrowed: true}
	t, told := m.state.table(name)
	if t == nil && told {
		return &c
	}
	if t != nil {
		c = *t
	} else if outside := m.table(name); outside != nil {
		c, c.borrowed = *outside, true
	}
	c.keys = slices.Clone(c.keys)
	m.state.tables[name] = &c
	return &c
}

// happen applies the effect of a statement to the tables.
func (m moment) happen(h *hit) {
	name := tableName(h.Database, h.Table)
	switch h.Kind {
	case sqlscan.CreateTable:
		m.create(h, name)
	case sqlscan.CreateTableAs:
		m.state.tables[tableName(h.Database, h.Target)] = &table{unit: h.unit, added: m.isAdded(h), filled: true, known: true}
	case sqlscan.CreateIndex:
		m.createIndex(h, name)
	case sqlscan.DropTable:
		m.state.tables[name] = nil
	case sqlscan.DropIndex:
		m.dropIndex(tableName(h.Database, h.Index))
	case sqlscan.AlterTable:
		m.alter(h, name)
	case sqlscan.InsertSelect:
		if !m.bound(h) {
			m.change(tableName(h.Database, h.Target)).filled = true
		}
	case sqlscan.Insert:
		if h.loop || h.Bulk {
			m.change(tableName(h.Database, h.Target)).filled = true
		}
	}
}

// isAdded reports whether a statement is new with the change. A statement that was in the
// same file before with other wording is not.
func (m moment) isAdded(h *hit) bool {
	return h.unit.added(h.from, h.end) && !h.unit.older[tableName(h.Database, h.Table)]
}

// create creates a table, unless IF NOT EXISTS finds one.
func (m moment) create(h *hit, name string) {
	if name == "" {
		return
	}
	before, told := m.state.table(name)
	if h.IfNotExists && (before != nil || !told && m.others && m.timeline.creates(m.run, name)) {
		return
	}
	m.run.founded[name] = m.run.founded[name] || !told
	t := &table{unit: h.unit, added: m.isAdded(h), known: h.Schema, virtual: h.Virtual, columns: h.Columns,
		perhaps: h.IfNotExists && !told}
	for _, columns := range h.Keys {
		t.keys = append(t.keys, uniqueKey{columns: columns})
	}
	m.state.tables[name] = t
}

func (m moment) createIndex(h *hit, name string) {
	index := tableName(h.Database, h.Index)
	if table, _ := m.state.index(index); h.IfNotExists && table != "" {
		return
	}
	m.state.indexes[index] = name
	for _, columns := range h.Keys {
		t := m.change(name)
		t.keys = append(t.keys, uniqueKey{index, columns})
	}
}

func (m moment) dropIndex(index string) {
	name, told := m.state.index(index)
	m.state.indexes[index] = ""
	if !told || name == "" {
		return
	}
	t := m.change(name)
	t.keys = slices.DeleteFunc(t.keys, func(k uniqueKey) bool { return k.index == index })
}

func (m moment) alter(h *hit, name string) {
	switch h.Action {
	case renameTable:
		to := tableName(h.Database, h.NewName)
		_, told := m.state.table(name)
		taken, gone := m.state.table(to)
		m.run.rebuilt[name] = m.run.rebuilt[name] || !told
		m.run.rebuilt[to] = m.run.rebuilt[to] || gone && taken == nil && !m.run.founded[to]
		t := *m.change(name)
		m.state.tables[name] = nil
		m.state.tables[to] = &t
		if t.borrowed {
			t.borrowed = false
			t.unit, t.added = nil, false
		}
	case renameColumn:
		m.change(name).rename(h.Column, strings.ToLower(h.NewName))
	case dropColumn:
		m.change(name).rename(h.Column, "")
	case addColumn:
		if t := m.table(name); t != nil && t.perhaps {
			t = m.change(name) // a table just created would have the column
			t.unit, t.added = nil, false
		}
	}
}

// rename renames a column in the keys; with an empty name, keys with that column are
// removed.
func (t *table) rename(from, to string) {
	t.columns = slices.Clone(t.columns)
	t.columns = slices.DeleteFunc(t.columns, func(c string) bool { return c == from })
	if to != "" {
		t.columns = append(t.columns, to)
	}
	var keys []uniqueKey
	for _, k := range t.keys {
		if i := slices.Index(k.columns, from); i >= 0 {
			if to == "" {
				continue
			}
			k.columns = slices.Clone(k.columns)
			k.columns[i] = to
		}
		keys = append(keys, k)
	}
	t.keys = keys
}

// rowids lists the names of the key that every table has unless it defines otherwise;
// customID is what a table with an unknown definition is assumed to call its key.
var rowids = []string{"rowid", "_rowid_", "oid"}

const customID = "id"

// bound reports whether a statement affects only the rows of one key, or of a list of keys.
func (m moment) bound(h *hit) bool {
	name := tableName(h.Database, h.Table)
	t := m.table(name)
	pinned := slices.Clone(h.Pinned)
	for _, l := range h.Lookups {
		if m.oneValue(l, name, h.Database) {
			pinned = append(pinned, l.Columns...)
		}
	}
	for _, column := range pinned {
		if slices.Contains(rowids, column) && (t == nil || !slices.Contains(t.columns, column)) ||
			column == customID && (t == nil || !t.known) || column == "docid" && t != nil && strings.HasPrefix(t.virtual, "fts") {
			return true
		}
	}
	covers := func(key []string) bool {
		return len(key) > 0 && !slices.ContainsFunc(key, func(column string) bool { return !slices.Contains(pinned, column) })
	}
	return slices.ContainsFunc(m.timeline.config[strings.ToLower(h.Table)], covers) ||
		t != nil && slices.ContainsFunc(t.keys, func(k uniqueKey) bool { return covers(k.columns) })
}

// oneValue reports whether a query has the same value for each row: no name in it can be a
// column of the outer table.
func (m moment) oneValue(l sqlscan.Lookup, outer, database string) bool {
	columns := map[string]bool{}
	all := true
	for _, name := range l.Tables {
		name = tableName(database, name)
		t := m.table(name)
		if name == outer {
			return true // every column of the outer table is also a column of the query's own table
		}
		if t == nil || !t.known {
			all = false
			continue
		}
		maps.Insert(columns, maps.All(set(t.columns)))
	}
	own := m.table(outer)
	for _, name := range l.Names {
		certain := columns[name] || all && slices.Contains(rowids, name) || own != nil && own.known && !slices.Contains(own.columns, name)
		if !certain {
			return false
		}
	}
	return true
}

func set(list []string) map[string]bool {
	s := make(map[string]bool, len(list))
	for _, x := range list {
		s[x] = true
	}
	return s
}

// fresh reports whether an index is on a table that the same change (in an audit: the same
// file) has created and that is still empty.
func (m moment) fresh(h *hit) bool {
	if h.Kind != sqlscan.CreateIndex || h.Table == "" {
		return false
	}
	t := m.table(tableName(h.Database, h.Table))
	switch {
	case t == nil || t.filled || t.borrowed && t.unit == nil || t.perhaps && !h.IfNotExists:
		return false
	case m.timeline.change:
		return t.added
	}
	return t.unit == h.unit
}

// command reports whether an INSERT into a virtual table may be a command that processes
// all of it. An INSERT that is certainly a row of an ordinary table is not.
func (m moment) command(h *hit) bool {
	if h.Kind != sqlscan.TableCommand {
		return false
	}
	t := m.table(tableName(h.Database, h.Target))
	if t != nil && (t.known || t.virtual != "") {
		return t.virtual != ""
	}
	return h.Commands() || h.Command == "" && strings.Contains(strings.ToLower(h.Target), "fts")
}
