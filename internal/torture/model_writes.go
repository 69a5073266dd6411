package torture

import (
	"fmt"
	"slices"
	"strings"
)

// wrote notes a write of the application.
func (m *Model) wrote() {
	if m.counting {
		m.amid++
	}
}

// Insert adds a row whose key is free.
func (m *Model) Insert(q Execer, r Row) error {
	m.wrote()
	r.U, r.Bad = m.created, r.Bad && m.Failure.fails != nil
	m.created++
	if r.Bad {
		r.N = 0 // see Failures
	}
	args := append(slices.Clone(r.Key), r.U, r.N, r.V, r.Todo, m.mark(&r))
	_, err := q.Exec(fmt.Sprintf("INSERT INTO main.t (%s, u, n, v, s, bad) VALUES (%s?, ?, ?, ?, ?)",
		m.Shape.names(), strings.Repeat("?, ", len(m.Shape.columns))), args...)
	if err == nil {
		m.add(&r)
	}
	return err
}

// Delete removes a row, unless a trigger would not have it.
func (m *Model) Delete(q Execer, r *Row) error {
	m.wrote()
	if r.Bad && m.Failure.deletes {
		return nil
	}
	_, err := q.Exec("DELETE FROM main.t WHERE u = ?", r.U)
	if err == nil {
		m.remove(r)
	}
	return err
}

// Move gives a row another key, which is free.
func (m *Model) Move(q Execer, r *Row, key []any) error {
	m.wrote()
	columns := strings.ReplaceAll(m.Shape.names(), ",", " = ?,") + " = ?"
	_, err := q.Exec("UPDATE main.t SET "+columns+" WHERE u = ?", append(slices.Clone(key), r.U)...)
	if err == nil {
		m.remove(r)
		r.Key, r.first = key, false
		m.add(r)
	}
	return err
}

// Change writes what live writes write.
func (m *Model) Change(q Execer, r *Row, change func(*Row)) error {
	m.wrote()
	after := *r
	change(&after)
	if after.Bad != r.Bad && (m.Failure.fails == nil || after.Bad && r.N != 0) || r.Bad && after.N != r.N {
		return nil // a constraint or a trigger would not have it
	}
	statement := "UPDATE main.t SET v = ?, s = ?, bad = ?"
	args := []any{after.V, after.Todo, m.mark(&after)}
	if after.N != r.N {
		statement, args = statement+", n = ?", append(args, after.N)
	}
	_, err := q.Exec(statement+" WHERE u = ?", append(args, r.U)...)
	if err == nil {
		*r = after
	}
	return err
}
