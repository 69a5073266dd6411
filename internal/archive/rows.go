package archive

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// targets gives the table of the archive that a member's rows go to, in SQL.
type targets func(Member) string

// mostChildren is how many rows may go with those of a chunk, and so with a row. They are deleted in one hold.
const mostChildren = 10_000

var errTooMany = rowError(fmt.Sprintf("more than %d rows go with it; move some of them first, by a job of their own", mostChildren))

// row is one of a member of the family that is to be moved.
type row struct {
	of        int      // the member
	root, key lite.Pos // of the row of the family's table with which it goes, and of itself
	had       bool     // the archive has had a row of its key

	is, held []byte // digests of what the row is, and of what the archive has under its key
	whole    []byte // of a row of the family's table: the digest of all that is moved with it
}

// id is the same of a row however many others it goes with.
func (r row) id() string { return strconv.Itoa(r.of) + r.key.Encode() }

// fits reports whether no more rows go with those of a range than a chunk may have.
func (rows Rows) fits(ctx context.Context, q lite.Querier, within lite.Range) (bool, error) {
	left := int64(mostChildren)
	for _, child := range rows.Children {
		for _, p := range child.paths {
			n, err := p.hanging(rows.Family, "1", rows.Where, rows.Args).
				Within("SELECT count(*) FROM (", fmt.Sprintf(" LIMIT %d)", left+1)).Int(ctx, q, within)
			if left -= n; err != nil || left < 0 {
				return false, err
			}
		}
	}
	return true, nil
}

// choose returns the rows that meet the conditions. These are asked once: they may answer otherwise the next time.
func (rows Rows) choose(ctx context.Context, q lite.Querier, within lite.Range) (*rowfunc.Copies, int, error) {
	found, err := rows.read(ctx, q, rows.Key.SelectStatement(rows.Key.Literals()+", 0, NULL, NULL, NULL", rows.Where, rows.Args), within, 0)
	if err != nil {
		return nil, 0, err
	}
	chosen := rowfunc.OpenCopies()
	for _, r := range found {
		chosen.Add(r.key, nil)
	}
	return chosen, len(found), nil
}

// keys returns all rows of a range, by their keys.
func (rows Rows) keys(ctx context.Context, q lite.Querier, within lite.Range) ([]row, error) {
	s := rows.Key.SelectStatement(rows.Key.Literals()+", 0, NULL, NULL, NULL", nil, nil)
	return rows.read(ctx, q, s.Within("", " ORDER BY "+rows.Key.Order()), within, 0)
}

// find returns the rows that meet the conditions, those that go with them, unless they are left out, and whether
// the archive has rows of their keys.
func (rows Rows) find(ctx context.Context, q lite.Querier, target targets, within lite.Range, alone bool) ([]row, error) {
	if alone {
		rows.Children = nil
	}
	return rows.each(ctx, q, within, func(m Member, name string) string {
		return "EXISTS (SELECT 1 FROM " + target(m) + " AS a WHERE " + sameKey(m.Table, name) + "), NULL, NULL"
	}, "NULL")
}

// digests returns what the rows are, and what the archive has of each.
func (rows Rows) digests(ctx context.Context, q lite.Querier, target targets, within lite.Range) ([]row, error) {
	return rows.each(ctx, q, within, func(m Member, name string) string {
		return "0, " + rowfunc.Hash(columnsOf(m.Table, name)) +
			", (SELECT " + rowfunc.Hash(columnsOf(m.Table, "a")) + " FROM " + target(m) + " AS a WHERE " + sameKey(m.Table, name) + ")"
	}, rows.whole())
}

// each reads columns of the rows that meet the conditions, in the order of the walk, and then of those that go with them.
func (rows Rows) each(ctx context.Context, q lite.Querier, within lite.Range, columns func(m Member, name string) string, whole string) ([]row, error) {
	all := rows.Key.SelectStatement(rows.Key.Literals()+", "+columns(rows.Member, lite.Main(rows.Name))+", "+whole, rows.Where, rows.Args)
	list, err := rows.read(ctx, q, all.Within("", " ORDER BY "+rows.Key.Order()), within, 0)
	for i, child := range rows.Children {
		for _, p := range child.paths {
			names := append(rootKey(rows.Family), child.Key.LiteralsOf(p.last())...)
			selected := comma(names) + ", " + columns(child.Member, p.last()) + ", NULL"
			more, err := rows.read(ctx, q, p.hanging(rows.Family, selected, rows.Where, rows.Args), within, i+1)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	return list, err
}

// read reads rows of a member.
func (f Family) read(ctx context.Context, q lite.Querier, s lite.Statement, within lite.Range, of int) (list []row, err error) {
	text, args := s.SQL(within)
	found, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		r := row{of: of, key: make(lite.Pos, len(f.members()[of].Key.Columns))}
		r.root = r.key
		var dest []any
		if of > 0 {
			r.root = make(lite.Pos, len(f.Key.Columns))
			dest = into(r.root)
		}
		dest = append(append(dest, into(r.key)...), &r.had, &r.is, &r.held, &r.whole)
		if err := found.Scan(dest...); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, found.Err()
}

// into has a position scanned.
func into(p lite.Pos) []any {
	list := make([]any, len(p))
	for i := range p {
		list[i] = &p[i]
	}
	return list
}

// insert copies the rows that meet the conditions, and those that go with them, where the archive has none of their keys.
func (rows Rows) insert(ctx context.Context, q lite.Querier, target targets, within lite.Range) error {
	lacks := func(m Member, name string) string {
		return "NOT EXISTS (SELECT 1 FROM " + target(m) + " AS a WHERE " + sameKey(m.Table, name) + ")"
	}
	put := func(m Member, s lite.Statement) error {
		_, err := s.Within("INSERT OR IGNORE INTO "+target(m)+" ("+comma(Columns(m.Table))+") ", "").Run(ctx, q, within)
		return err
	}
	where := append(slices.Clone(rows.Where), lacks(rows.Member, lite.Main(rows.Name)))
	if err := put(rows.Member, rows.Key.SelectStatement(comma(Columns(rows.Table)), where, rows.Args)); err != nil {
		return err
	}
	for _, child := range rows.Children {
		for _, p := range child.paths {
			s := p.hanging(rows.Family, comma(columnsOf(child.Table, p.last())), rows.Where, rows.Args)
			if err := put(child.Member, s.Within("", " WHERE "+lacks(child.Member, p.last()))); err != nil {
				return err
			}
		}
	}
	return nil
}
