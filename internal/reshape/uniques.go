package reshape

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// newUniques are those that no index of the table as it is implies.
func (s inquiry) newUniques(ctx context.Context, q lite.Querier, shadow lite.Table) (all []unique, err error) {
	wanted, err := s.uniques(ctx, q, shadow, func(name string) string {
		i := slices.IndexFunc(s.indexes, func(ix index) bool { return lite.SameName(shadowName(ix.Name), name) })
		if i < 0 {
			return ""
		}
		return s.indexes[i].rest
	})
	if err != nil {
		return nil, err
	}
	has, err := s.uniques(ctx, q, s.live, func(name string) string {
		for _, o := range s.objects {
			if ix, err := parseIndex(o.sql); err == nil && lite.SameName(o.name, name) {
				return ix.rest
			}
		}
		return ""
	})
	if err != nil {
		return nil, err
	}

	for _, u := range wanted {
		implied := slices.ContainsFunc(has, func(h unique) bool { return h.implies(u) })
		if !implied || !s.asTheyAre(u) {
			all = append(all, u)
		}
	}
	return all, nil
}

// asTheyAre reports whether what a unique index is over keeps its values.
func (s inquiry) asTheyAre(u unique) bool {
	named := lite.Names(strings.Join(u.terms, " "))
	return !slices.ContainsFunc(s.table.columnTexts(), func(c columnText) bool {
		return named[lite.FoldName(c.name)] && c.generated == "" && !s.asItIs(c.name)
	})
}

// implies reports whether rows that differ in u differ in v. A NULL makes a row differ from all.
func (u unique) implies(v unique) bool {
	if u.where != "" && tokens(u.where) != tokens(v.where) {
		return false
	}
	for i, term := range u.terms {
		if !v.has(term, u.collations[i]) {
			return false
		}
	}
	return true
}

func (u unique) has(term, collation string) bool {
	for i := range u.terms {
		if tokens(u.terms[i]) == tokens(term) && strings.EqualFold(u.collations[i], collation) {
			return true
		}
	}
	return false
}

// uniques are those of a table; text gives what an index is over, as it is written.
func (s inquiry) uniques(ctx context.Context, q lite.Querier, of lite.Table, text func(name string) string) (all []unique, err error) {
	for _, k := range of.Keys { // an INTEGER PRIMARY KEY has no index
		if k.Rowid {
			name := k.Columns[0].Name
			all = append(all, unique{terms: []string{lite.Ident(name)}, collations: []string{"BINARY"}, name: "PRIMARY KEY (" + name + ")"})
		}
	}
	rows, err := q.QueryContext(ctx, `SELECT l.name, x.seqno, coalesce(x.name, ''), x.coll FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE l."unique" AND x.key ORDER BY l.seq, x.seqno`, of.Name)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", of.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, column, collation string
		var n int
		if err := rows.Scan(&name, &n, &column, &collation); err != nil {
			return nil, fmt.Errorf("read indexes of %s: %w", of.Name, err)
		}
		ix := index{rest: text(name)}
		if n == 0 {
			all = append(all, unique{index: name, where: ix.where()})
		}
		u := &all[len(all)-1]
		term := lite.Ident(column)
		if column == "" {
			if terms := ix.terms(); n < len(terms) {
				term, column = terms[n], terms[n]
			}
		}
		u.terms, u.collations = append(u.terms, term), append(u.collations, collation)
		u.name = strings.TrimSuffix(strings.Replace(u.name, "UNIQUE (", "", 1), ")")
		u.name = "UNIQUE (" + strings.TrimPrefix(u.name+", "+column, ", ") + ")"
	}
	return all, rows.Err()
}
