package lite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// statements keeps the statements that batch after batch runs compiled on one connection of
// the driver. The driver compiles a statement each time it is executed by text, which took
// a sixth of the time of a job with 2 ms holds.
type statements struct {
	keep     bool // if false, each is closed after use
	seen     map[string]int
	compiled map[string]*statement
	calls    int
}

const (
	often   = 3
	maxSeen = 100 // texts that differ each time, such as those with a key's literals, are not kept
	maxKept = 24
)

// get returns the compiled form of a text. The caller releases it.
func (s *statements) get(ctx context.Context, dc driver.Conn, text string) (*statement, error) {
	s.calls++
	kept := s.compiled[text]
	if kept != nil && !kept.closed && !kept.used {
		kept.used, kept.call = true, s.calls
		return kept, nil
	}

	st, err := prepareOn(ctx, dc, text)
	if err != nil || kept != nil && !kept.closed || !s.worth(text) {
		return st, err
	}
	s.makeRoom()
	st.kept, st.used, st.call = true, true, s.calls
	s.compiled[text] = st
	return st, nil
}

// makeRoom closes the statement that has not been used for longest, where there are too many: a job of many
// steps leaves those of its first ones behind.
func (s *statements) makeRoom() {
	if s.compiled == nil {
		s.compiled = map[string]*statement{}
	}
	if len(s.compiled) < maxKept {
		return
	}
	var oldest *statement
	for _, st := range s.compiled {
		if !st.used && (oldest == nil || st.call < oldest.call) {
			oldest = st
		}
	}
	if oldest != nil {
		_ = oldest.close()
		delete(s.compiled, oldest.text)
	}
}

// worth counts a text and reports whether it has been used often enough to keep.
func (s *statements) worth(text string) bool {
	if !s.keep || !lasting(text) {
		return false
	}
	if s.seen == nil || len(s.seen) > maxSeen {
		s.seen = map[string]int{}
	}
	s.seen[text]++
	return s.seen[text] >= often
}

// close closes all statements, on the connection they belong to.
func (s *statements) close() error {
	var err error
	for _, st := range s.compiled {
		err = errors.Join(err, st.close())
	}
	s.forget()
	return err
}

// forget drops statements whose connection is gone.
func (s *statements) forget() { s.seen, s.compiled = nil, nil }

// statement is a compiled statement of the driver.
type statement struct {
	text   string
	stmt   driver.Stmt
	kept   bool // somebody keeps it, and closes it
	used   bool
	call   int // the latest one
	closed bool
}

func prepareOn(ctx context.Context, dc driver.Conn, text string) (*statement, error) {
	var stmt driver.Stmt
	var err error
	if p, ok := dc.(driver.ConnPrepareContext); ok {
		stmt, err = p.PrepareContext(ctx, text)
	} else {
		stmt, err = dc.Prepare(text)
	}
	return &statement{text: text, stmt: stmt}, err
}

func (s *statement) exec(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	if s.closed {
		return nil, errEnded
	}
	e, ok := s.stmt.(driver.StmtExecContext)
	if !ok {
		return nil, fmt.Errorf("the driver's statements (%T) take no context", s.stmt)
	}
	err = s.run(func() error {
		result, err = e.ExecContext(ctx, args)
		return err
	})
	return result, err
}

func (s *statement) query(ctx context.Context, g *guarded, args []driver.NamedValue) (driver.Rows, error) {
	if s.closed {
		return nil, errEnded
	}
	q, ok := s.stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, fmt.Errorf("the driver's statements (%T) take no context", s.stmt)
	}
	var rows driver.Rows
	err := s.run(func() (err error) {
		rows, err = q.QueryContext(ctx, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return guardedRows{rows, s, g}, nil
}

var errEnded = errors.New("the statement was closed, since code of the application did not return from it")

// run closes the statement unless fn returns: a statement left in the middle of its work
// would keep its transaction open.
func (s *statement) run(fn func() error) error {
	returned := false
	defer func() {
		if !returned {
			_ = s.close()
		}
	}()
	err := fn()
	returned = true
	return err
}

func (s *statement) release() {
	s.used = false
	if !s.kept {
		_ = s.close()
	}
}

func (s *statement) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.stmt.Close()
}
