package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Beside is a connection of its own that reads the database and writes another file, which is
// attached. So a transaction of it can never change both.
type Beside struct {
	*sql.Conn
	pool *sql.DB
}

// OpenBeside opens the connection and attaches the other file, which is made where it is
// missing, under a schema name. What is committed there is on the disk, whatever the host's
// connection does.
func OpenBeside(ctx context.Context, db *sql.DB, path, schema, other string) (_ *Beside, err error) {
	pool, err := OpenReader(ctx, db, path)
	if err != nil {
		return nil, err
	}
	if pool == nil {
		return nil, fmt.Errorf("%w: a second connection is needed to write another file", ErrExclusive)
	}
	b := &Beside{pool: pool}
	defer func() {
		if err != nil {
			_ = b.Close() // what went wrong is being returned
		}
	}()

	pool.SetMaxOpenConns(1)
	if b.Conn, err = pool.Conn(ctx); err != nil {
		return nil, err
	}
	if _, err = b.ExecContext(ctx, "ATTACH ? AS "+Ident(schema), DSN(other)+"?mode=rwc"); err != nil {
		return nil, err
	}
	// EXTRA is FULL, and in the old journal modes syncs the folder as well.
	_, err = b.ExecContext(ctx, "PRAGMA "+Ident(schema)+".synchronous = EXTRA")
	return b, err
}

// Close closes the connection.
func (b *Beside) Close() error {
	var err error
	if b.Conn != nil {
		err = b.Conn.Close()
	}
	return errors.Join(err, b.pool.Close())
}

// Order returns the ORDER BY of a walk by the key.
func (k Key) Order() string { return k.order().by(false) }
