package lite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/internal/failpoint"
)

// Timing is what a hold cost: the wait for the connection, which is the host's own traffic,
// and the time for which we had it.
type Timing struct {
	Wait, Held time.Duration
	Fixed      time.Duration // part of Held: the time for settings, however much work was done
	WAL        WALState      // the write-ahead log after the commit
	Others     bool          // whether another connection has committed since the previous hold
}

// Writer is the host's connection pool as a run of a job uses it. It belongs to one
// goroutine. The zero value with DB set is ready to use; Close it after the last hold.
type Writer struct {
	DB *sql.DB

	// NoAutocheckpoint keeps commits of a hold from checkpointing the write-ahead log,
	// because somebody else does.
	NoAutocheckpoint bool

	// NoSpill keeps all that a hold writes in memory until it commits, for one that never
	// does: no page of it reaches the write-ahead log.
	NoSpill bool

	// Once says that there will be few holds, so that no statement stays compiled between
	// them.
	Once bool

	// Autocheckpoint is a number of frames; 0 changes nothing. While the write-ahead log
	// may grow beyond SQLite's limit (1000 frames), each commit of the host would
	// checkpoint all of it. So the limit is raised to Autocheckpoint between our holds, and
	// Close restores it. The writers of one pool share Override; without one nothing is
	// raised.
	Autocheckpoint int
	Override       *AutocheckpointOverride

	// ReadWALState reads the state of the log; nil for the function of that name.
	ReadWALState func(context.Context, Querier) (WALState, error)

	queue   int64    // how many had ever queued before the hold
	guard   *guarded // the connection of the hold and the statements compiled on it
	version int64    // data_version in the latest hold
	of      any      // the driver's connection that this is
	pool    *sql.DB  // has only guard
	conn    *sql.Conn
}

// Queued reports whether anybody has had to wait for a connection since the latest hold was
// requested. We count ourselves: if we had to wait, so may others who came before us. A
// larger pool hides all of that.
func (w *Writer) Queued() bool { return w.DB.Stats().WaitCount > w.queue }

// Close restores the host's settings of the connection and closes the compiled statements.
func (w *Writer) Close(ctx context.Context) error {
	w.Autocheckpoint = 0
	if w.guard == nil {
		return nil
	}
	var err error
	if w.Override.has(w) || len(w.guard.statements.compiled) > 0 {
		w.Once = true // so that Borrow closes the statements
		_, err = w.Borrow(ctx, func(context.Context, Querier) error { return nil })
	}
	w.guard.worker.End()
	_ = w.conn.Close()
	w.guard, w.of = nil, nil
	return errors.Join(err, w.pool.Close())
}

// Hold takes the writer while fn runs: it takes the connection, runs BEGIN IMMEDIATE, fn
// and COMMIT, and returns the connection as it was. An error of fn rolls back. Hold never
// waits for another process inside SQLite, which would block all live writes of this
// process: if the database is busy, it returns an error of class Busy at once.
//
// ctx ends only the wait for the connection. Once we have it, nothing cancels the hold:
// database/sql discards a connection on which a statement was cancelled, and with
// MaxOpenConns(1) that is the only one.
func (w *Writer) Hold(ctx context.Context, fn func(context.Context, Querier) error) (Timing, error) {
	return w.Try(ctx, fn, nil)
}

// Try is a Hold for work that may fail because of one row. If fn or its commit fails with
// an error of class Row, it is rolled back and otherwise, which receives the error, gets a
// transaction of its own in the same hold: the row is still as it was when it failed. If
// another connection has written in between all the same, which in a pool of one means
// another process, nothing is done and Try returns ErrOvertaken, of class Busy.
func (w *Writer) Try(ctx context.Context, fn func(context.Context, Querier) error,
	otherwise func(context.Context, Querier, error) error) (Timing, error) {
	committed, others, state := false, false, WALState{}
	t, err := w.withConn(ctx, func(ctx context.Context, c *sql.Conn) (err error) {
		if others, err = w.overtaken(ctx, c); err != nil {
			return err
		}
		if err := w.transact(ctx, c, fn, otherwise); err != nil {
			return err
		}
		committed = true
		state, _ = w.readWALState(ctx, c)
		return nil
	})
	t.WAL, t.Others = state, others
	if committed {
		// A failure after the commit costs the connection, which is discarded, but not the
		// transaction: returning an error here would have the batch done twice.
		return t, nil
	}
	return t, err
}

// transact runs fn and, if a row is at fault, otherwise.
func (w *Writer) transact(ctx context.Context, c *sql.Conn, fn func(context.Context, Querier) error,
	otherwise func(context.Context, Querier, error) error) error {
	if otherwise == nil {
		return w.inTransaction(ctx, c, fn)
	}
	var version int64
	cause := w.inTransaction(ctx, c, func(ctx context.Context, q Querier) (err error) {
		if version, err = dataVersion(ctx, q); err != nil {
			return err
		}
		return fn(ctx, q)
	})
	if Classify(cause) != Row || errors.Is(cause, errDirty) {
		return cause
	}
	return w.inTransaction(ctx, c, func(ctx context.Context, q Querier) error {
		now, err := dataVersion(ctx, q)
		switch {
		case err != nil:
			return err
		case now != version:
			return ErrOvertaken
		}
		return otherwise(ctx, q, cause)
	})
}

// overtaken reports whether another connection has committed since the previous hold. Each
// connection counts separately.
func (w *Writer) overtaken(ctx context.Context, c *sql.Conn) (bool, error) {
	before := w.version
	var err error
	w.version, err = dataVersion(ctx, c)
	return before != 0 && w.version != before, err
}

// dataVersion returns a number that changes with each commit of another connection.
func dataVersion(ctx context.Context, q Querier) (version int64, err error) {
	err = q.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	return version, err
}

// Borrow takes the connection without a transaction; otherwise it behaves like Hold.
func (w *Writer) Borrow(ctx context.Context, fn func(context.Context, Querier) error) (Timing, error) {
	return w.withConn(ctx, func(ctx context.Context, c *sql.Conn) error { return fn(ctx, c) })
}

func (w *Writer) withConn(ctx context.Context, fn func(context.Context, *sql.Conn) error) (t Timing, err error) {
	asked := time.Now()
	w.queue = w.DB.Stats().WaitCount
	host, err := w.DB.Conn(ctx)
	if err != nil {
		return Timing{Wait: time.Since(asked)}, fmt.Errorf("wait for the connection: %w", err)
	}
	taken := time.Now()
	t.Wait = taken.Sub(asked)
	clean, worked := false, time.Duration(0)
	defer func() { // also when fn panics
		w.release(clean)
		if !clean {
			discard(host)
		}
		closeErr := host.Close()
		t.Held = time.Since(taken)
		t.Fixed = t.Held - worked
		if err == nil && closeErr != nil && clean {
			err = fmt.Errorf("give the connection back: %w", closeErr)
		}
	}()
	ctx = context.WithoutCancel(ctx)
	if err := w.borrow(ctx, host); err != nil {
		return t, err
	}
	before, ours, err := borrowPragmas(ctx, w.conn, w.NoAutocheckpoint, w.NoSpill)
	if err != nil {
		return t, err
	}
	began := time.Now()
	err = fn(ctx, w.conn)
	worked = time.Since(began)
	before.autoCheckpoint = w.Override.apply(w, before.autoCheckpoint)
	restoreErr := before.set(ctx, w.conn, ours)
	clean = restoreErr == nil && !errors.Is(err, errDirty) && !w.guard.bad
	return t, errors.Join(err, restoreErr)
}

// borrow puts the guard on the host's connection.
func (w *Writer) borrow(ctx context.Context, host *sql.Conn) (err error) {
	if w.guard == nil {
		w.guard = &guarded{}
		w.pool = sql.OpenDB(single{w.guard, w.DB.Driver()})
		if w.conn, err = w.pool.Conn(ctx); err != nil {
			return fmt.Errorf("guard the connection: %w", err)
		}
	}

	var of any
	if err := host.Raw(func(conn any) error { of = conn; return nil }); err != nil {
		return fmt.Errorf("guard the connection: %w", err)
	}
	if of != w.of {
		if len(w.guard.statements.compiled) > 0 {
			w.Override.markLost()
		}
		w.guard.statements.forget()
		w.version = 0
	}
	w.guard.host, w.guard.bad, w.of = host, false, of

	// Only a pool of one hands out the same connection each time. A pool that has ever
	// closed a connection on its own may close this one between two holds, with our
	// statements.
	stats := w.DB.Stats()
	closed := stats.MaxIdleClosed + stats.MaxIdleTimeClosed + stats.MaxLifetimeClosed
	w.guard.statements.keep = stats.MaxOpenConnections == 1 && closed == 0 && !w.Once && !w.Override.isLost()
	return nil
}

// release takes the guard off, and closes the statements that cannot stay.
func (w *Writer) release(clean bool) {
	g := w.guard
	if g == nil || g.host == nil {
		return
	}
	if !clean || !g.statements.keep {
		_ = g.with(context.Background(), "close", func(context.Context, driver.Conn) error { return g.statements.close() })
	}
	g.host = nil
}

// inTransaction runs fn in a transaction that has the write lock from the start.
func (w *Writer) inTransaction(ctx context.Context, c *sql.Conn, fn func(context.Context, Querier) error) (err error) {
	if err := exec(ctx, c, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	committed := false
	defer func() { // also when fn panics; withConn then discards the connection
		if !committed {
			err = errors.Join(err, rollback(ctx, c))
		}
	}()
	if err := fn(ctx, c); err != nil {
		return err
	}
	failpoint.Hit("before COMMIT")
	if _, err := c.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("%w: %w", ErrCommit, err)
	}
	failpoint.Hit("after COMMIT")
	committed = true
	return nil
}

// ErrCommit marks an error of COMMIT. It may be the error of a row: deferred foreign keys
// are checked there.
var ErrCommit = errors.New("COMMIT")

// errDirty marks a connection that may still be in a transaction.
var errDirty = errors.New("the transaction could not be rolled back")

// rollback ends the transaction whatever its state. If SQLite has ended it already,
// ROLLBACK fails with "no transaction is active"; a BEGIN that works and is rolled back
// again tells that case from a transaction that is still open.
func rollback(ctx context.Context, c *sql.Conn) error {
	if exec(ctx, c, "ROLLBACK") == nil {
		return nil
	}
	if exec(ctx, c, "BEGIN") == nil && exec(ctx, c, "ROLLBACK") == nil {
		return nil
	}
	return errDirty
}

// discard makes database/sql close the connection instead of reusing it: a connection
// returned inside a transaction would swallow the live writes that follow.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

func exec(ctx context.Context, q Querier, statement string) error {
	failpoint.Hit("before " + statement)
	if _, err := q.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	failpoint.Hit("after " + statement)
	return nil
}

// pragmas holds the settings of a connection that a hold changes.
type pragmas struct {
	busyTimeout    int
	tempStore      int
	autoCheckpoint int
	cacheSpill     int // pages; 0 for never; below that KiB
}

const (
	memory = 2 // PRAGMA temp_store

	// Size to which the page cache may grow before SQLite writes pages to the log in the
	// middle of a transaction. Writing such pages again costs the checksums of everything
	// after them: with the default of 2 MB, a quarter of the time where rows are scattered.
	// This size easily holds a batch of 20 ms, and the memory is released with the commit.
	// (What is restored is what SQLite reports, the pages of the host's own cache unless it
	// asked for more.)
	spill = -8 << 10
)

// borrowPragmas sets what a hold needs. It returns the host's settings and the current
// ones.
func borrowPragmas(ctx context.Context, c *sql.Conn, noAutocheckpoint, noSpill bool) (host, ours pragmas, err error) {
	for _, setting := range []struct {
		name string
		to   *int
	}{
		{"busy_timeout", &host.busyTimeout}, {"temp_store", &host.tempStore},
		{"wal_autocheckpoint", &host.autoCheckpoint}, {"cache_spill", &host.cacheSpill},
	} {
		if err := c.QueryRowContext(ctx, "PRAGMA "+setting.name).Scan(setting.to); err != nil {
			return host, ours, fmt.Errorf("read the connection's settings: %w", err)
		}
	}
	names, err := databases(ctx, c)
	if err != nil {
		return host, ours, fmt.Errorf("read the connection's settings: %w", err)
	}
	ours = host
	ours.busyTimeout = 0 // no waiting inside SQLite
	if noAutocheckpoint {
		ours.autoCheckpoint = 0
	}
	switch {
	case noSpill:
		ours.cacheSpill = 0
	case host.cacheSpill != 0:
		ours.cacheSpill = spill
	}
	// Changing temp_store would drop the host's TEMP tables. (Asking sqlite_temp_schema
	// whether there are any opens it, and from then on each change makes SQLite read the
	// whole schema again.)
	if !slices.Contains(names, "temp") {
		ours.tempStore = memory
	}
	return host, ours, ours.set(ctx, c, host)
}

// set changes a connection from other settings to these.
func (p pragmas) set(ctx context.Context, c *sql.Conn, from pragmas) error {
	for _, setting := range []struct {
		name     string
		from, to int
	}{
		{"busy_timeout", from.busyTimeout, p.busyTimeout},
		{"wal_autocheckpoint", from.autoCheckpoint, p.autoCheckpoint},
		{"temp_store", from.tempStore, p.tempStore},
		{"cache_spill", from.cacheSpill, p.cacheSpill},
	} {
		if setting.from == setting.to {
			continue
		}
		statement := fmt.Sprintf("PRAGMA %s = %d", setting.name, setting.to)
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// databases returns the schemas that a connection has opened. (The table-valued form of the
// pragma would be built each time, which costs ten times as much.)
func databases(ctx context.Context, q Querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, "PRAGMA database_list")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var seq int
		var name, file string
		if err := rows.Scan(&seq, &name, &file); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
