package lite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
)

// Errors returned for a job that would not process each row once, and only the rows meant.
var (
	// ErrOwnWork is returned when an expression reads what the job's own statement writes:
	// its value would depend on how many batches there have been. Copy what it reads to a
	// table of its own first.
	ErrOwnWork = chunkfill.ErrOwnWork
	// ErrKeyMoves is returned when rows would change their positions in the walk, or be
	// added to it. The message names the trigger, foreign key or column to change.
	ErrKeyMoves = chunkfill.ErrKeyMoves
)

// op is an instruction of SQLite's virtual machine, as EXPLAIN lists it. The opcodes are
// not a stable interface: an instruction that is not understood never leads to a refusal,
// and tests with the oldest and the newest SQLite cover those that are.
type op struct {
	code       string
	p1, p2, p3 int
	p4         string
	p5         int
}

// Flags in p5 of Insert and in p2 of Delete.
const (
	flagIsUpdate = 0x04 // part of an UPDATE
	flagIsNoop   = 0x40 // for Delete: the row stays where it is
)

// explain returns the instructions of a statement, followed by those of each trigger and
// foreign key action that it may fire.
func explain(ctx context.Context, q Querier, statement string, args []any) (programs [][]op, err error) {
	rows, err := q.QueryContext(ctx, "EXPLAIN "+statement, args...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFragment, err)
	}
	defer rows.Close()
	for rows.Next() {
		var o op
		var address int
		var p4, comment any
		if err := rows.Scan(&address, &o.code, &o.p1, &o.p2, &o.p3, &p4, &o.p5, &comment); err != nil {
			return nil, fmt.Errorf("read the program of a statement: %w", err)
		}
		o.p4, _ = p4.(string)
		if address == 0 {
			programs = append(programs, nil)
		}
		if n := len(programs); n > 0 {
			programs[n-1] = append(programs[n-1], o)
		}
	}
	return programs, rows.Err()
}

// store identifies what a statement reads or writes: a b-tree by its database and root
// page, or a virtual table by the name that EXPLAIN gives it.
type store struct {
	database, root int
	virtual        string
}

func (o op) opens() (store, bool) {
	switch o.code {
	case "OpenRead", "OpenWrite", "ReopenIdx":
		return store{database: o.p3, root: o.p2}, true
	case "VOpen":
		return store{virtual: o.p4}, true
	}
	return store{}, false
}

func (o op) writes() (store, bool) {
	switch o.code {
	case "OpenWrite":
		return store{database: o.p3, root: o.p2}, true
	case "Clear":
		return store{database: o.p2, root: o.p1}, true
	case "VUpdate":
		return store{virtual: o.p4}, true
	}
	return store{}, false
}

// loadRoots finds the root pages of the table and its indexes.
func (t *Table) loadRoots(ctx context.Context, q Querier) error {
	rows, err := q.QueryContext(ctx, `SELECT name, type = 'table', rootpage FROM main.sqlite_schema
		WHERE tbl_name = ? COLLATE NOCASE AND type IN ('table', 'index')`, t.Name)
	if err != nil {
		return fmt.Errorf("read the schema of %s: %w", t.Name, err)
	}
	defer rows.Close()
	t.roots = map[string]store{}
	for rows.Next() {
		var name string
		var table bool
		var root int
		if err := rows.Scan(&name, &table, &root); err != nil {
			return fmt.Errorf("read the schema of %s: %w", t.Name, err)
		}
		if table {
			t.root, name = store{root: root}, ""
		}
		t.roots[name] = store{root: root}
	}
	return rows.Err()
}

// keyRoot returns the b-tree by which the table is walked: that of an index, or its own.
func (t Table) keyRoot() store {
	if root, ok := t.roots[t.Key.Index]; ok && !t.Key.Rowid && !t.WithoutRowid {
		return root
	}
	return t.root
}

// reads returns what a fragment reads in queries of its own, including reads through views
// and of virtual tables. The table itself, or an index that has all the columns needed, is
// opened once for the rows.
func (t Table) reads(ctx context.Context, q Querier, fragment string, args []any) (map[store]bool, error) {
	programs, err := explain(ctx, q, fmt.Sprintf("SELECT (%s\n) FROM %s NOT INDEXED", fragment, Main(t.Name)), args)
	if err != nil {
		return nil, err
	}
	read, rows := map[store]bool{}, false
	for _, o := range slices.Concat(programs...) {
		s, ok := o.opens()
		switch {
		case !ok:
		case t.owns(s) && !rows:
			rows = true
		default:
			read[s] = true
		}
	}
	return read, nil
}

func (t Table) owns(s store) bool {
	for _, root := range t.roots {
		if s == root {
			return true
		}
	}
	return false
}

// CheckReads refuses expressions that read what the statement writes: the table, one of its
// indexes, or what its triggers write.
func (t Table) CheckReads(ctx context.Context, q Querier, s Statement, fragments map[string]string) error {
	text, args := s.SQL(t.Key.Sample())
	programs, err := explain(ctx, q, text, args)
	if err != nil {
		return err
	}
	written := map[store]bool{}
	for _, root := range t.roots {
		written[root] = true
	}
	for i, program := range programs {
		if i > 0 && !isTrigger(program) {
			continue // a foreign key action writes rows that belong to those of the batch
		}
		for _, o := range program {
			if s, ok := o.writes(); ok {
				written[s] = true
			}
		}
	}
	for _, what := range SortedKeys(fragments) {
		read, err := t.reads(ctx, q, fragments[what], s.Args)
		if err != nil {
			return err
		}
		for s := range read {
			if written[s] {
				return fmt.Errorf("%w: %s %q has a query over %s, or over what its triggers write, which each batch would see as the batches "+
					"before have left it; put the keys or values that it finds into a table of their own first, and let it ask that table",
					ErrOwnWork, what, fragments[what], t.Name)
			}
		}
	}
	return nil
}

// CheckMoves refuses a statement under which rows would move: the statement, or a trigger
// or foreign key action that it fires, changes the key or adds rows where they may still be
// walked. Rows that get their rowid from SQLite itself lie beyond the bound.
//
// Where foreign keys are enforced, SQLite rewrites all index entries of a row, including
// those of the key, when a column changes that a key refers to. loose is a connection that
// does not enforce them, for a second look; nil if there is none.
func (t Table) CheckMoves(ctx context.Context, q, loose Querier, s Statement) error {
	text, args := s.SQL(t.Key.Sample())
	programs, err := explain(ctx, q, text, args)
	if err != nil {
		return err
	}
	for i, program := range programs {
		moves, inserts := t.effects(program)
		switch {
		case i == 0 && moves && t.generatedKey():
			return fmt.Errorf("%w: a column of the key %s of %s is generated from one that the job sets; "+
				"walk it by another key: add a UNIQUE index over NOT NULL columns that the job leaves alone", ErrKeyMoves, Idents(t.Key.Names()), t.Name)
		case i == 0 || !moves && !inserts:
			continue
		}

		sure, err := t.confirmed(ctx, q, loose, s, program)
		switch {
		case err != nil:
			return err
		case !sure:
		case moves:
			return fmt.Errorf("%w: %s of %s changes the key of rows while the job walks by it; "+
				"have it leave the key alone for the time of the job", ErrKeyMoves, origin(program), t.Name)
		default:
			return fmt.Errorf("%w: %s of %s adds rows to the table that the job walks, and it would come to them, too; "+
				"have it write to another table, or drop it for the time of the job", ErrKeyMoves, origin(program), t.Name)
		}
	}
	return nil
}

// confirmed reports whether the apparent effect of a program on the walk is real, and not
// only due to the enforcement of foreign keys. Their own actions set columns that refer to
// another row, and nothing else.
func (t Table) confirmed(ctx context.Context, q, loose Querier, s Statement, program []op) (bool, error) {
	if !isTrigger(program) {
		return t.refersByKey(ctx, q)
	}
	if loose == nil {
		return true, nil
	}
	text, args := s.SQL(t.Key.Sample())
	programs, err := explain(ctx, loose, text, args)
	if err != nil {
		return true, nil //nolint:nilerr // what it calls does not exist there: the first look stands
	}
	seen := false
	for _, other := range programs {
		if other[0].p4 != program[0].p4 {
			continue
		}
		seen = true
		if moves, inserts := t.effects(other); moves || inserts {
			return true, nil
		}
	}
	return !seen, nil // a TEMP trigger exists only on its own connection
}

// refersByKey reports whether a column of the key is a foreign key.
func (t Table) refersByKey(ctx context.Context, q Querier) (bool, error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT "from" FROM pragma_foreign_key_list(?, 'main')`, t.Name)
	if err != nil {
		return false, fmt.Errorf("read the foreign keys of %s: %w", t.Name, err)
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return false, fmt.Errorf("read the foreign keys of %s: %w", t.Name, err)
		}
		found = found || t.Key.Has(column)
	}
	return found, rows.Err()
}

// origin names the trigger or foreign key action that a program belongs to.
func origin(program []op) string {
	if isTrigger(program) {
		return "trigger " + strings.TrimPrefix(program[0].p4, triggerMark)
	}
	return "an action of a foreign key"
}

// triggerMark begins the program of a trigger, and no other.
const triggerMark = "-- TRIGGER "

func isTrigger(program []op) bool { return strings.HasPrefix(program[0].p4, triggerMark) }

func (t Table) generatedKey() bool {
	return slices.ContainsFunc(t.Key.Columns, func(k KeyColumn) bool {
		c, err := t.Column(k.Name)
		return err == nil && c.Generated
	})
}

// effects reports what one program does to the walk.
func (t Table) effects(program []op) (moves, inserts bool) {
	cursors, updates := map[int]store{}, map[int]bool{}
	automatic := map[int]bool{} // registers with a rowid that SQLite chose
	for _, o := range program {
		if o.code == "Delete" && o.p2&flagIsUpdate != 0 || o.code == "Insert" && o.p5&flagIsUpdate != 0 {
			updates[o.p1] = true
		}
	}
	for i, o := range program {
		s, open := cursors[o.p1]
		switch o.code {
		case "OpenRead", "OpenWrite":
			cursors[o.p1] = store{database: o.p3, root: o.p2}
		case "NewRowid":
			// An id supplied by the statement is checked to be an integer.
			automatic[o.p2] = i+1 < len(program) && !(program[i+1].code == "MustBeInt" && program[i+1].p1 == o.p2)
		case "Insert":
			if open && s == t.root && !updates[o.p1] {
				inserts = inserts || !t.Key.Rowid || !automatic[o.p3]
			}
		case "Delete":
			if open && s == t.root && s == t.keyRoot() && updates[o.p1] && o.p2&flagIsNoop == 0 {
				moves = true
			}
		case "IdxInsert":
			if open && s == t.keyRoot() {
				moves = moves || !t.WithoutRowid
				inserts = inserts || t.WithoutRowid && !updates[o.p1]
			}
		}
	}
	return moves, inserts
}
