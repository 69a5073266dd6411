package schemadiff

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
)

// ErrSchema is returned for a schema that cannot be used as it is written. The message
// has the statement.
var ErrSchema = errors.New("the schema cannot be used")

const mostText = 4 << 20 // bytes of a schema

// memory is an empty database in memory, with one connection.
type memory struct {
	*sql.Conn
	db *sql.DB

	missing map[string]error // of the database that it is a copy of: what could not be made, by folded name
	failing map[string]error // and the statements that do not compile
}

func openMemory(ctx context.Context) (*memory, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, fmt.Errorf("open a database in memory: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a database in memory: %w", err), db.Close())
	}
	return &memory{Conn: conn, db: db}, nil
}

func (m *memory) close() {
	m.Conn.Close()
	m.db.Close()
}

// Wanted reads the schema that a script describes. The script can only create: each of its
// statements is looked at before SQLite gets it.
func Wanted(ctx context.Context, script string, ignore []string) (*Schema, error) {
	if len(script) > mostText {
		return nil, fmt.Errorf("%w: it has %d bytes, and at most %d are read", ErrSchema, len(script), mostText)
	}
	m, err := openMemory(ctx)
	if err != nil {
		return nil, err
	}
	defer m.close()

	statements := reshape.Statements(strings.TrimPrefix(script, "\ufeff"))
	if len(statements) == 0 {
		return nil, fmt.Errorf("%w: it has no CREATE statement; is it the right file?", ErrSchema)
	}
	for _, statement := range statements {
		use, err := allowed(statement)
		if err != nil {
			return nil, err
		}
		if !use {
			continue
		}
		if _, err := m.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%w: %w, in: %s", ErrSchema, err, brief(statement))
		}
	}
	return Load(ctx, m, ignore)
}

// modules are the virtual tables that a schema may have.
var modules = map[string]bool{"fts3": true, "fts4": true, "fts5": true, "rtree": true, "rtree_i32": true, "geopoly": true,
	"fts4aux": true, "fts5vocab": true}

// allowed refuses a statement that does more than to make something empty, and tells whether it
// is to be executed: what sqlite3's .schema and .dump write around the statements is not.
func allowed(statement string) (use bool, err error) {
	c := clauses{tokens: scan(statement)}
	kind := ""
	switch {
	case len(c.tokens) == 0, c.skip("begin"), c.skip("commit"), c.skip("pragma", "foreign_keys"):
		return false, nil
	case c.skip("create", "table"):
		kind = "table"
	case c.skip("create", "virtual", "table"):
		kind = "virtual"
	case c.skip("create", "index"), c.skip("create", "unique", "index"), c.skip("create", "trigger"), c.skip("create", "view"):
	default:
		return false, fmt.Errorf("%w: a schema has CREATE TABLE, INDEX, TRIGGER, VIEW and VIRTUAL TABLE alone; leave out: %s", ErrSchema, brief(statement))
	}

	c.skip("if", "not", "exists")
	name := fold(c.peek())
	c.at++
	if c.peek().same == "." {
		if name != "main" {
			return false, fmt.Errorf("%w: it is for one database, main; leave out the name %s in: %s", ErrSchema, name, brief(statement))
		}
		c.at++
		name = fold(c.peek())
		c.at++
	}
	switch {
	case strings.HasPrefix(name, "sqlite_"): // SQLite makes it
		return false, nil
	case kind == "table" && c.peek().same != "(":
		return false, fmt.Errorf("%w: the columns of %s are not written out", ErrSchema, name)
	case kind == "virtual" && (!c.skip("using") || !modules[fold(c.peek())]):
		return false, fmt.Errorf("%w: %s is a virtual table of a kind that is not known; leave it out, and name it with --ignore", ErrSchema, name)
	}
	return true, nil
}

// brief is the beginning of a statement, for a message.
func brief(statement string) string {
	const most = 100
	statement = strings.Join(strings.Fields(statement), " ")
	if len(statement) > most {
		return strings.ToValidUTF8(statement[:most], "") + " …"
	}
	return statement
}

// copyOf makes an empty copy of a database in memory. What cannot be made there, because it
// needs functions or modules of the application, is left out.
func copyOf(ctx context.Context, q lite.Querier) (*memory, error) {
	all, err := objects(ctx, q)
	if err != nil {
		return nil, err
	}
	shadows, err := shadowTables(ctx, q)
	if err != nil {
		return nil, err
	}
	m, err := openMemory(ctx)
	if err != nil {
		return nil, err
	}

	m.missing = map[string]error{}
	for _, o := range all {
		if o.sql == "" || shadows[lite.FoldName(o.name)] || strings.HasPrefix(lite.FoldName(o.name), "sqlite_") {
			continue
		}
		_, err := allowed(o.sql)
		if err == nil {
			_, err = m.ExecContext(ctx, o.sql)
		}
		if err != nil {
			m.missing[lite.FoldName(o.name)] = err
		}
	}
	if m.failing, err = reshape.Failing(ctx, m); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}
