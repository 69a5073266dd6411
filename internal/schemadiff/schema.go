package schemadiff

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Schema is what a database has, or is to have, without what is left alone.
type Schema struct {
	tables map[string]*table // by folded name
	order  []string          // of them, as in the database
	loose  []object          // views and triggers, in order
	Alone  []Alone
}

// object is a row of sqlite_schema.
type object struct {
	kind, name, table, sql string

	same string // equal for objects that SQLite treats the same; of tables other than virtual ones it is not asked
}

func (o object) key() string { return o.kind + " " + lite.FoldName(o.name) }

// drop is the statement by which it goes, of what may have gone with something else.
func (o object) drop() string {
	return "DROP " + strings.ToUpper(o.kind) + " IF EXISTS " + lite.Ident(o.name)
}

// table is one of a schema.
type table struct {
	object
	virtual bool
	text    written
	columns []column
	indexes map[string]object // by folded name, but those of constraints
	rest    []string          // what else makes it what it is: keys, checks, options
}

// column is one of a table.
type column struct {
	name, decl string
	hidden     int    // as table_xinfo has it: 2 and 3 are generated
	place      int    // in the primary key; 0 for none
	same       string // equal for columns that are the same but for their names
}

// Load reads the schema of a database.
func Load(ctx context.Context, q lite.Querier, ignore []string) (*Schema, error) {
	s := &Schema{tables: map[string]*table{}}
	all, err := objects(ctx, q)
	if err != nil {
		return nil, err
	}
	shadows, err := shadowTables(ctx, q)
	if err != nil {
		return nil, err
	}

	alone := aloneness{ignore, shadows}
	for _, o := range all {
		why := alone.why(o)
		switch {
		case why != "":
			if o.kind == "table" {
				s.Alone = append(s.Alone, Alone{o.name, why})
			}
		case o.kind == "table":
			t := &table{object: o, virtual: strings.HasPrefix(strings.ToUpper(o.sql), "CREATE VIRTUAL"), indexes: map[string]object{}}
			s.tables[lite.FoldName(o.name)] = t
			s.order = append(s.order, lite.FoldName(o.name))
		case o.kind == "index" && o.sql != "":
			if t := s.tables[lite.FoldName(o.table)]; t != nil {
				t.indexes[lite.FoldName(o.name)] = o
			}
		case o.kind != "index":
			s.loose = append(s.loose, o)
		}
	}
	if err := s.details(ctx, q); err != nil {
		return nil, err
	}
	s.normalize()
	return s, nil
}

// normalize brings the texts of indexes, views and triggers into the form in which they are compared.
func (s *Schema) normalize() {
	everywhere := names{}
	for _, t := range s.tables {
		own := names{}
		for _, c := range t.columns {
			own.add(c.name)
		}
		own.add(t.name)
		maps.Copy(everywhere, own)
		for key, ix := range t.indexes {
			ix.same = own.normalIndex(ix)
			t.indexes[key] = ix
		}
	}

	for _, o := range s.loose {
		everywhere.add(o.name, o.table)
	}
	for i, o := range s.loose {
		s.loose[i].same = everywhere.normalText(o.sql)
	}
}

func objects(ctx context.Context, q lite.Querier) (all []object, err error) {
	rows, err := q.QueryContext(ctx, `SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema
		ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, rowid`)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql); err != nil {
			return nil, fmt.Errorf("read the schema: %w", err)
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// details reads what the pragmas tell of each table.
func (s *Schema) details(ctx context.Context, q lite.Querier) error {
	for _, name := range s.order {
		t := s.tables[name]
		if t.virtual {
			t.rest = []string{names{lite.FoldName(t.name): true}.normalText(t.sql)}
			continue
		}
		t.text = parseTable(t.sql)
		if err := t.readColumns(ctx, q); err != nil {
			return fmt.Errorf("read the columns of %s: %w", t.name, err)
		}
	}
	for _, name := range s.order { // foreign keys may go by the key of another table
		if t := s.tables[name]; !t.virtual {
			if err := s.readRest(ctx, q, t); err != nil {
				return fmt.Errorf("read the constraints of %s: %w", t.name, err)
			}
		}
	}
	return nil
}

func (t *table) readColumns(ctx context.Context, q lite.Querier) error {
	return each(ctx, q, `SELECT name, type, "notnull", coalesce(dflt_value, ''), pk, hidden FROM pragma_table_xinfo(?, 'main')`, t.name, func(scan scanner) error {
		var c column
		var notNull int
		var defaults string
		if err := scan(&c.name, &c.decl, &notNull, &defaults, &c.place, &c.hidden); err != nil {
			return err
		}
		c.same = fmt.Sprintf("%s not null %d default %s pk %d hidden %d%s", none.normalText(c.decl), notNull, normalDefault(defaults), c.place, c.hidden,
			t.text.columns[lite.FoldName(c.name)].extra)
		t.columns = append(t.columns, c)
		return nil
	})
}

// readRest reads keys, foreign keys, checks and options.
func (s *Schema) readRest(ctx context.Context, q lite.Querier, t *table) error {
	for _, check := range t.text.checks {
		t.rest = append(t.rest, "CHECK "+check)
	}
	err := each(ctx, q, `SELECT wr, strict FROM pragma_table_list(?) WHERE schema = 'main'`, t.name, func(scan scanner) error {
		var withoutRowid, strict bool
		err := scan(&withoutRowid, &strict)
		if withoutRowid {
			t.rest = append(t.rest, "WITHOUT ROWID")
		}
		if strict {
			t.rest = append(t.rest, "STRICT")
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.text.counts {
		t.rest = append(t.rest, "AUTOINCREMENT")
	}
	if how := t.text.keys[""]; how != "" {
		t.rest = append(t.rest, "PRIMARY KEY ON CONFLICT "+strings.ToUpper(how))
	}
	if err := t.readKeys(ctx, q); err != nil {
		return err
	}
	if err := s.readForeignKeys(ctx, q, t); err != nil {
		return err
	}
	slices.Sort(t.rest)
	return nil
}

// readKeys reads the indexes that are PRIMARY KEY and UNIQUE constraints.
func (t *table) readKeys(ctx context.Context, q lite.Querier) error {
	names, over := map[string]string{}, map[string]string{}
	kinds := map[string]string{}
	var order []string
	err := each(ctx, q, `SELECT l.name, l.origin, coalesce(x.name, ''), x.coll, x."desc" FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE l.origin <> 'c' AND x.key ORDER BY l.seq, x.seqno`, t.name, func(scan scanner) error {
		var name, origin, column, collation string
		var desc bool
		if err := scan(&name, &origin, &column, &collation, &desc); err != nil {
			return err
		}
		if kinds[name] == "" {
			kinds[name] = map[string]string{"pk": "PRIMARY KEY", "u": "UNIQUE"}[origin]
			order = append(order, name)
		} else {
			over[name] += ", "
			names[name] += ","
		}
		names[name] += lite.FoldName(column)
		over[name] += lite.FoldName(column)
		if lite.FoldName(collation) != "binary" {
			over[name] += " COLLATE " + lite.FoldName(collation)
		}
		if desc {
			over[name] += " DESC"
		}
		return nil
	})
	for _, name := range order {
		key := kinds[name] + " (" + over[name] + ")"
		if how := t.text.keys[names[name]]; how != "" && kinds[name] == "UNIQUE" {
			key += " ON CONFLICT " + strings.ToUpper(how)
		}
		t.rest = append(t.rest, key)
	}
	return err
}

func (s *Schema) readForeignKeys(ctx context.Context, q lite.Querier, t *table) error {
	keys := map[int]string{}
	from, to := map[int][]string{}, map[int][]string{}
	parents := map[int]string{}
	err := each(ctx, q, `SELECT id, "table", "from", coalesce("to", ''), on_update, on_delete, "match" FROM pragma_foreign_key_list(?) ORDER BY id, seq`, t.name, func(scan scanner) error {
		var id int
		var parent, column, target, onUpdate, onDelete, match string
		if err := scan(&id, &parent, &column, &target, &onUpdate, &onDelete, &match); err != nil {
			return err
		}
		parents[id] = lite.FoldName(parent)
		from[id] = append(from[id], lite.FoldName(column))
		if target != "" {
			to[id] = append(to[id], lite.FoldName(target))
		}
		keys[id] = " ON UPDATE " + onUpdate + " ON DELETE " + onDelete // SQLite has no use for MATCH
		return nil
	})
	for id := range keys {
		if len(to[id]) == 0 { // by the key of the other table
			if parent := s.tables[parents[id]]; parent != nil {
				to[id] = parent.primaryKey()
			}
		}
		key := fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)%s", strings.Join(from[id], ", "), parents[id], strings.Join(to[id], ", "), keys[id])
		if at := len(keys) - 1 - id; at < len(t.text.foreign) && t.text.foreign[at] != "" { // the pragma begins with the last
			key += " DEFERRED"
		}
		t.rest = append(t.rest, key)
	}
	return err
}

// primaryKey are the columns of it, in its order.
func (t *table) primaryKey() []string {
	keys := slices.DeleteFunc(slices.Clone(t.columns), func(c column) bool { return c.place == 0 })
	slices.SortFunc(keys, func(a, b column) int { return a.place - b.place })
	all := make([]string, len(keys))
	for i, c := range keys {
		all[i] = lite.FoldName(c.name)
	}
	return all
}

type scanner = func(dest ...any) error

// each calls fn for each row of a query about a table.
func each(ctx context.Context, q lite.Querier, query, table string, fn func(scanner) error) error {
	rows, err := q.QueryContext(ctx, query, table)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
