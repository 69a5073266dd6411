package preflight

import (
	"maps"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// table is what is known of one at a moment.
type table struct {
	unit     *unit // in which it is made; nil for one that was there
	added    bool  // by the change, and was not there before it
	perhaps  bool  // it was there before all that is known: IF NOT EXISTS says so
	filled   bool  // with rows of which nobody knows how many there are
	known    bool  // all of its keys and columns are
	borrowed bool  // another run makes it, this one changes it
	virtual  string
	columns  []string
	keys     []uniqueKey
}

// uniqueKey is a set of columns of which one value means one row, with the index that
// makes it so; "" is the table itself.
type uniqueKey struct {
	index   string
	columns []string
}

// and is what two definitions of a table have in common.
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

// state is what tables there are at a moment, over what was before.
type state struct {
	under   *state
	tables  map[string]*table // nil for one that is dropped
	indexes map[string]string // the table of each, "" for one that is dropped
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

// moment is a statement's place in time.
type moment struct {
	timeline *timeline
	run      *run
	state    *state
	others   bool // what other runs leave behind is known
}

// table is one as it is now; nil if nothing is known of it.
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

// change returns a table to be changed: a copy for this run.
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

// happen does to the tables what a statement does.
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

// isAdded reports whether a statement is new with the change. What stood before in
// the same file, in other words, is not.
func (m moment) isAdded(h *hit) bool {
	return h.unit.added(h.from, h.end) && !h.unit.older[tableName(h.Database, h.Table)]
}

// create makes a table, unless IF NOT EXISTS finds one.
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
			t = m.change(name) // one that had just been made would have the column
			t.unit, t.added = nil, false
		}
	}
}

// rename gives a column another name in the keys; without a name its keys are gone.
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

// rowids are names of the key that every table has unless it says otherwise;
// customID is what a table whose definition is not at hand calls its key.
var rowids = []string{"rowid", "_rowid_", "oid"}

const customID = "id"

// bound reports whether a statement meets the rows of one key, or of a list of
// keys, and no more.
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

// oneValue reports whether a query has one value, whatever the row: no name in it
// can be one of the outer table's columns.
func (m moment) oneValue(l sqlscan.Lookup, outer, database string) bool {
	columns := map[string]bool{}
	all := true
	for _, name := range l.Tables {
		name = tableName(database, name)
		t := m.table(name)
		if name == outer {
			return true // all that the outer table has, the query has, and nearer
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

// fresh reports whether an index is on a table that the same change (in an audit:
// the same file) has made, and that is still empty.
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

// command reports whether a command to a virtual table may go over all of it.
// What is surely a row of a plain table is none.
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
