package lite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/failpoint"
)

// ErrHostCode is returned when a function of the application, called by a statement or by
// the engine, panicked or ended its goroutine (runtime.Goexit, as t.FailNow does) instead
// of returning. Fix the function, then start the job again.
var ErrHostCode = chunkfill.ErrHostCode

// Worker is a goroutine that calls code of the application, so that a panic or Goexit there
// does not happen on one of ours. It is kept, because a new goroutine would have to grow
// its stack for SQLite each time. It belongs to one caller at a time. The zero value is
// ready to use; End it after the last call.
type Worker struct {
	calls  chan func() error
	result chan error
}

// Do calls fn. If fn does not return, Do returns ErrHostCode; what names the call in the
// message.
func (w *Worker) Do(what string, fn func() error) error {
	if w.calls == nil {
		w.calls, w.result = make(chan func() error), make(chan error)
		go work(w.calls, w.result)
	}
	w.calls <- fn

	err := <-w.result
	if errors.Is(err, ErrHostCode) {
		w.calls = nil // the goroutine has ended with the call
		return fmt.Errorf("%w: in %s", err, what)
	}
	return err
}

// End ends the goroutine, if there is one.
func (w *Worker) End() {
	if w.calls != nil {
		close(w.calls)
		w.calls = nil
	}
}

// work runs calls until one of them does not return.
func work(calls chan func() error, result chan error) {
	working := false
	defer func() {
		p := recover()
		switch {
		case p != nil:
			result <- fmt.Errorf("%w: panic: %v", ErrHostCode, p)
		case working:
			result <- fmt.Errorf("%w: it ended its goroutine (runtime.Goexit)", ErrHostCode)
		}
	}()

	for fn := range calls {
		working = true
		err := fn()
		working = false
		result <- err
	}
}

// guarded is a connection on which nothing that a statement calls (SQL functions,
// collations and hooks of the application) can do harm. After a panic or a Goexit,
// database/sql leaves its locks held, and the host's only connection would be lost for
// good. Here both become errors of the statement before database/sql sees them.
//
// It wraps either a driver connection of our own or one lent by the host's pool. On a lent
// one, a context is checked before a statement but does not cancel it, because the host
// would then lose its connection and the TEMP tables on it.
type guarded struct {
	own  driver.Conn
	host *sql.Conn

	worker     Worker
	statements statements
	bad        bool // the driver has called the connection unusable
}

// with runs fn on the driver's connection.
func (g *guarded) with(ctx context.Context, what string, fn func(context.Context, driver.Conn) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	do := g.worker.Do
	if quiet(what) {
		do = func(_ string, fn func() error) error { return fn() }
	}
	if g.host == nil {
		return do(what, func() error { return fn(ctx, g.own) })
	}

	ctx = onLent(ctx)
	rawErr := g.host.Raw(func(conn any) error {
		dc := conn.(driver.Conn)
		err = do(what, func() error { return fn(ctx, dc) })
		return nil
	})
	if rawErr != nil {
		err = rawErr
	}
	if errors.Is(err, driver.ErrBadConn) { // database/sql would take it for ours
		g.bad = true
		return fmt.Errorf("the connection is gone (%s)", err) //nolint:errorlint // so it is not wrapped
	}
	return err
}

// WithLimit returns a context in which a statement on a lent connection is interrupted when
// limit ends. It is for work that is rolled back in any case: SQLite takes the transaction
// back with a write that is interrupted.
func WithLimit(ctx, limit context.Context) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

type limitKey struct{}

// onLent is the context that the driver is given for a statement on a lent connection.
func onLent(ctx context.Context) context.Context {
	if limit, ok := ctx.Value(limitKey{}).(context.Context); ok {
		return limit
	}
	return context.WithoutCancel(ctx)
}

// note records what runs on the host's connection for a trace. Other connections run in
// parallel, in no fixed order.
func (g *guarded) note(query string, args []driver.NamedValue) {
	if g.host != nil {
		failpoint.Note("statement", query, args)
	}
}

// quiet reports whether a statement calls nothing of the application: a setting, or the
// start of a transaction. Handing these to the worker would double the overhead of a hold.
func quiet(statement string) bool {
	return strings.HasPrefix(statement, "PRAGMA ") || statement == "BEGIN IMMEDIATE"
}

func (g *guarded) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	g.note(query, args)
	err = g.with(ctx, query, func(ctx context.Context, dc driver.Conn) error {
		s, err := g.statements.get(ctx, dc, query)
		if err != nil {
			return err
		}
		defer s.release()
		result, err = s.exec(ctx, args)
		return err
	})
	return result, err
}

func (g *guarded) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	g.note(query, args)
	err = g.with(ctx, query, func(ctx context.Context, dc driver.Conn) error {
		s, err := g.statements.get(ctx, dc, query)
		if err != nil {
			return err
		}
		if rows, err = s.query(ctx, g, args); err != nil {
			s.release()
		}
		return err
	})
	return rows, err
}

func (g *guarded) Prepare(query string) (driver.Stmt, error) {
	return g.PrepareContext(context.Background(), query)
}

func (g *guarded) PrepareContext(ctx context.Context, query string) (stmt driver.Stmt, err error) {
	err = g.with(ctx, query, func(ctx context.Context, dc driver.Conn) error {
		s, err := prepareOn(ctx, dc, query)
		s.kept = true // by the caller
		stmt = guardedStmt{s, g}
		return err
	})
	return stmt, err
}

// Begin starts a transaction on a connection of our own.
func (g *guarded) Begin() (driver.Tx, error) {
	_, err := g.ExecContext(context.Background(), "BEGIN", nil)
	return guardedTx{g}, err
}

// IsReadOnly returns what the driver's own connection returns.
func (g *guarded) IsReadOnly(schema string) (yes bool, err error) {
	err = g.with(context.Background(), "IsReadOnly", func(_ context.Context, dc driver.Conn) error {
		asker, ok := dc.(interface{ IsReadOnly(string) (bool, error) })
		if !ok {
			return fmt.Errorf("the driver's connection (%T) does not tell", dc)
		}
		yes, err = asker.IsReadOnly(schema)
		return err
	})
	return yes, err
}

// Close closes a connection of our own, or returns a lent one.
func (g *guarded) Close() error {
	defer g.worker.End()
	_ = g.with(context.Background(), "close", func(context.Context, driver.Conn) error { return g.statements.close() })
	if g.host != nil {
		return g.host.Close()
	}
	return g.worker.Do("close", g.own.Close)
}

type guardedTx struct{ g *guarded }

func (t guardedTx) Commit() error {
	_, err := t.g.ExecContext(context.Background(), "COMMIT", nil)
	return err
}

func (t guardedTx) Rollback() error {
	_, err := t.g.ExecContext(context.Background(), "ROLLBACK", nil)
	return err
}

// guardedStmt is a statement that the caller keeps.
type guardedStmt struct {
	s *statement
	g *guarded
}

func (s guardedStmt) NumInput() int { return -1 }

func (s guardedStmt) Close() error {
	return s.g.with(context.Background(), "close", func(context.Context, driver.Conn) error { return s.s.close() })
}

func (s guardedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	err = s.g.with(ctx, s.s.text, func(ctx context.Context, _ driver.Conn) (err error) {
		result, err = s.s.exec(ctx, args)
		return err
	})
	return result, err
}

func (s guardedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = s.g.with(ctx, s.s.text, func(ctx context.Context, _ driver.Conn) (err error) {
		rows, err = s.s.query(ctx, s.g, args)
		return err
	})
	return rows, err
}

// Exec and Query satisfy interfaces that no current version of database/sql uses.
func (s guardedStmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func (s guardedStmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	list := make([]driver.NamedValue, len(args))
	for i, a := range args {
		list[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return list
}

// guardedRows holds the rows of a statement; closing them releases it.
type guardedRows struct {
	driver.Rows
	s *statement
	g *guarded
}

func (r guardedRows) Next(dest []driver.Value) error {
	return r.g.with(context.Background(), r.s.text, func(context.Context, driver.Conn) error {
		return r.s.run(func() error { return r.Rows.Next(dest) })
	})
}

func (r guardedRows) Close() error {
	return r.g.with(context.Background(), r.s.text, func(context.Context, driver.Conn) error {
		defer r.s.release()
		if r.s.closed {
			return nil
		}
		return r.Rows.Close()
	})
}

// Guest returns a pool on top of the host's: each of its connections is a guarded one that
// the host's pool lends for the time of a statement. Closing it does not close the host's
// pool.
func Guest(db *sql.DB) *sql.DB {
	guest := sql.OpenDB(lender{db})
	guest.SetMaxIdleConns(0)
	return guest
}

type lender struct{ db *sql.DB }

func (l lender) Driver() driver.Driver { return l.db.Driver() }

func (l lender) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &guarded{host: conn}, nil
}

// single is a connector that always returns the same connection.
type single struct {
	g      *guarded
	driver driver.Driver
}

func (s single) Driver() driver.Driver                        { return s.driver }
func (s single) Connect(context.Context) (driver.Conn, error) { return held{s.g}, nil }

// held is a connection that is closed by its owner.
type held struct{ *guarded }

func (held) Close() error { return nil }

// lasting reports whether a statement may be kept compiled. SQLite executes most PRAGMAs
// while it compiles them, and running them again would do nothing.
func lasting(text string) bool {
	switch text {
	case "PRAGMA data_version", "PRAGMA schema_version":
		return true
	}
	return !strings.HasPrefix(text, "PRAGMA") && !strings.HasPrefix(text, "EXPLAIN")
}
