package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// Family is a table whose rows are moved, and the children whose rows go with them.
type Family struct {
	Member
	Children []Child // one comes before those that it refers to
}

// Member is a table of a family.
type Member struct {
	lite.Table
	Into string // the table of the archive that its rows go to
}

// Child is a member with a foreign key to another. A row of it goes with the row that it refers to.
type Child struct {
	Member
	paths []path
}

// path is a chain of foreign keys, from the family's table down to one of a child.
type path []link

// link is a foreign key.
type link struct {
	parent, table string
	from, to      []string // columns of table, and those of parent that they refer to
}

// Name is a child as a job names it.
type Name struct{ Table, Into string }

// LoadFamily finds how the children that a job names hang on its table. It refuses one that
// does not, and a foreign key through which a row would change others that do not go with it.
func LoadFamily(ctx context.Context, q lite.Querier, table lite.Table, into string, names []Name) (Family, error) {
	l := loader{q: q}
	var err error
	if l.enforced, err = lite.Enforces(ctx, q); err != nil {
		return Family{}, err
	}
	f := Family{Member: Member{table, into}}
	for _, name := range names {
		child, err := lite.LoadTable(ctx, q, name.Table)
		if err != nil {
			return f, fmt.Errorf("the rows that go with those of %s: %w", table.Name, err)
		}
		if l.find(child.Name) != nil || lite.SameName(child.Name, table.Name) {
			return f, fmt.Errorf("%w: %s is named twice", chunkfill.ErrSpec, child.Name)
		}
		l.children = append(l.children, &Child{Member: Member{child, name.Into}})
	}
	if err := l.below(ctx, table, nil); err != nil {
		return f, err
	}
	return f, l.order(&f)
}

// loader finds the paths to children.
type loader struct {
	q        lite.Querier
	enforced bool // so that actions are made
	children []*Child
}

func (l *loader) find(table string) *Child {
	i := slices.IndexFunc(l.children, func(c *Child) bool { return lite.SameName(c.Name, table) })
	if i < 0 {
		return nil
	}
	return l.children[i]
}

// below follows the foreign keys to a table, to which a path leads.
func (l *loader) below(ctx context.Context, at lite.Table, above path) error {
	list, err := lite.ReferencesTo(ctx, l.q, at.Name)
	if err != nil {
		return err
	}
	for _, r := range list {
		child, back := l.find(r.Table), above.passes(at.Name, r.Table)
		if child == nil || back {
			if err := l.refuse(r, at, back); err != nil {
				return err
			}
			continue
		}

		to := r.To
		if len(to) == 0 {
			to = at.PrimaryKey()
		}
		if len(to) != len(r.Columns) {
			return fmt.Errorf("%w: the foreign key of %s (%s) does not fit the key of %s", chunkfill.ErrSpec, r.Table, strings.Join(r.Columns, ", "), at.Name)
		}
		down := append(slices.Clone(above), link{at.Name, child.Name, r.Columns, to})
		if err := l.checkIndex(ctx, down[len(down)-1]); err != nil {
			return err
		}
		child.paths = append(child.paths, down)
		if err := l.below(ctx, child.Table, down); err != nil {
			return err
		}
	}
	return nil
}

// passes reports whether a table is on the way to one, or is that itself.
func (p path) passes(at, table string) bool {
	return lite.SameName(at, table) || slices.ContainsFunc(p, func(l link) bool { return lite.SameName(l.parent, table) })
}

// refuse refuses a foreign key whose action would change rows that are not archived.
func (l *loader) refuse(r lite.Reference, at lite.Table, back bool) error {
	if !l.enforced || !slices.Contains([]string{"CASCADE", "SET NULL", "SET DEFAULT"}, r.OnDelete) {
		return nil
	}
	what := fmt.Sprintf("%s (%s) refers to %s with ON DELETE %s", r.Table, strings.Join(r.Columns, ", "), at.Name, r.OnDelete)
	if back {
		return fmt.Errorf("%w: %s, and rows that refer to rows of their own table, in a circle of tables or one, cannot be archived: the action would change some that are not moved; "+
			"have the foreign key say RESTRICT or NO ACTION", chunkfill.ErrSpec, what)
	}
	return fmt.Errorf("%w: %s, and of the rows that this would change nothing would be archived; "+
		"name %[3]s among the children (--archive-child %[3]s), and its rows are moved with those that they refer to", chunkfill.ErrSpec, what, r.Table)
}

// checkIndex refuses a foreign key without an index: each row would have its children looked for in all of the table.
func (l *loader) checkIndex(ctx context.Context, k link) error {
	plan, err := lite.Plan(ctx, l.q, "SELECT 1 FROM "+lite.Main(k.parent)+" CROSS JOIN "+lite.Main(k.table)+" ON "+k.on(lite.Main(k.parent), lite.Main(k.table)), nil)
	if err != nil {
		return err
	}
	if last := plan[len(plan)-1]; strings.HasPrefix(last, "SEARCH") && !strings.Contains(last, "AUTOMATIC") {
		return nil
	}
	return fmt.Errorf("%w: there is no index by which SQLite finds the rows of %s that refer to a row of %s; make one first, such as CREATE INDEX %s ON %s (%s); "+
		"it is of use if the columns are declared with the types and collations of %s (%s)", chunkfill.ErrSpec, k.table, k.parent,
		lite.Ident(k.table+"_"+strings.Join(k.from, "_")), lite.Ident(k.table), lite.Idents(k.from), k.parent, strings.Join(k.to, ", "))
}

// order puts children before those that they refer to.
func (l *loader) order(f *Family) error {
	depth := func(c *Child) (n int) {
		for _, p := range c.paths {
			n = max(n, len(p))
		}
		return n
	}
	slices.SortStableFunc(l.children, func(a, b *Child) int { return depth(b) - depth(a) })
	for _, child := range l.children {
		if child.paths == nil {
			return fmt.Errorf("%w: no foreign key leads from %s to %s, so nothing tells which of its rows go along", chunkfill.ErrSpec, child.Name, f.Name)
		}
		f.Children = append(f.Children, *child)
	}
	return nil
}

// members are the family's table and its children.
func (f Family) members() []Member {
	list := []Member{f.Member}
	for _, child := range f.Children {
		list = append(list, child.Member)
	}
	return list
}

// Same reports whether the family has the columns and the foreign keys that it had.
func (f Family) Same(was Family) bool {
	same := func(a, b Member) bool { return a.Name == b.Name && slices.Equal(Columns(a.Table), Columns(b.Table)) }
	return slices.EqualFunc(f.members(), was.members(), same) &&
		slices.EqualFunc(f.Children, was.Children, func(a, b Child) bool { return reflect.DeepEqual(a.paths, b.paths) })
}

// keys tells by which keys the rows of children are noted; "" without children.
func (f Family) keys() string {
	if len(f.Children) == 0 {
		return ""
	}
	list := map[string][]lite.KeyColumn{}
	for _, child := range f.Children {
		list[child.Name] = child.Key.Columns
	}
	text, _ := json.Marshal(list) // it has nothing that could not be marshaled
	return string(text)
}

// rowError is why a row cannot be moved. It is of that row, as lite.ErrUnlike is.
type rowError string

func (e rowError) Error() string { return string(e) }

func (rowError) Is(target error) bool { return target == lite.ErrUnlike }
