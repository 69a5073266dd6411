package engine

import (
	"context"
	"slices"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Prepare makes the statements of a pass: on the first they are those of the job, on a
// second only what verification found left, without the rows set aside.
func (s *session) Prepare(ctx context.Context, cp chunkfill.Checkpoint) error {
	var aside []lite.Pos
	if s.newest == nil {
		var err error
		if aside, err = s.quarantined(ctx, s.e.guest); err != nil {
			return err
		}
	}
	s.setPass(cp.Pass, aside)
	s.cursor, s.copied = place{}, place{}
	return nil
}

func (s *session) setPass(pass int, aside []lite.Pos) {
	s.pass = pass
	s.leaveOut(aside)
	s.compile()
}

// leaveOut sets which rows the statement passes over.
func (s *session) leaveOut(aside []lite.Pos) {
	if s.aside != nil {
		s.aside.Close()
		s.aside = nil
	}
	if len(aside) > 0 {
		s.aside = openKeys(aside)
	}
}

func openKeys(places []lite.Pos) *rowfunc.Keys {
	keys := make([][]string, len(places))
	for i, p := range places {
		keys[i] = p
	}
	return rowfunc.OpenKeys(keys)
}

// compile makes the statements of the pass. The rows set aside are told first: the
// condition may be what fails on them.
func (s *session) compile() {
	s.where = []string{s.spec.Where}
	switch {
	case s.newest != nil:
		s.where = s.newest.conds(s.table.Key, s.pass)
	case s.pass == 2:
		s.where = append(s.where, s.spec.Todo)
		if s.aside != nil {
			s.where = slices.Insert(s.where, 0, s.aside.Lacks(s.table.Key.Literals()))
		}
	}
	s.stmt, s.brief = s.statement(s.calls, s.where, true), s.statement(s.calls, s.where, false)
}
