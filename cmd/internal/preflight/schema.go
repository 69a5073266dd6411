package preflight

import (
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// schema is what CREATE statements and the configuration say of tables.
type schema struct {
	tables map[string]bool       // all of whose keys are known
	keys   map[string][][]string // by table
}

// rowids are names of the key that every table has unless it says otherwise;
// id is what a table whose definition is not at hand calls its key.
var (
	rowids   = []string{"rowid", "_rowid_", "oid"}
	customID = "id"
)

func newSchema(c Config) *schema {
	s := &schema{tables: map[string]bool{}, keys: map[string][][]string{}}
	for table, keys := range c.Keys {
		for _, key := range keys {
			columns := strings.Split(strings.ToLower(key), ",")
			for i := range columns {
				columns[i] = strings.TrimSpace(columns[i])
			}
			s.addKey(table, columns)
		}
	}
	return s
}

func (s *schema) addKey(table string, columns []string) {
	table = strings.ToLower(table)
	s.keys[table] = append(s.keys[table], columns)
}

// learn adds what a file's CREATE statements say.
func (s *schema) learn(u *unit) {
	for _, h := range u.hits {
		if h.Kind != sqlscan.CreateTable && h.Kind != sqlscan.CreateIndex || h.Table == "" {
			continue
		}
		if h.Schema {
			s.tables[strings.ToLower(h.Table)] = true
		}
		for _, key := range h.Keys {
			s.addKey(h.Table, key)
		}
	}
}

// bound reports whether a statement meets the rows of one key, or of a list of
// keys, and no more.
func (s *schema) bound(h hit) bool {
	table := strings.ToLower(h.Table)
	for _, column := range h.Pinned {
		if slices.Contains(rowids, column) || column == customID && !s.tables[table] {
			return true
		}
	}
	return slices.ContainsFunc(s.keys[table], func(key []string) bool {
		return !slices.ContainsFunc(key, func(column string) bool { return !slices.Contains(h.Pinned, column) })
	})
}
