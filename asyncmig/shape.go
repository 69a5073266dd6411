package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

const createTable = `CREATE TABLE _async_migrations (
	name TEXT PRIMARY KEY,
	status TEXT NOT NULL,
	started_at TEXT NOT NULL DEFAULT (datetime('now')),
	ended_at TEXT,
	error TEXT
)`

// matches finds the row of a name in a ledger whose names may not compare byte by byte, or
// may not be stored as text. The first half can use the index.
const matches = `name = ?1 AND CAST(name AS TEXT) = ?1 COLLATE BINARY`

// table is the table _async_migrations as it exists. It may belong to the application:
// without some of our columns, with additional ones, and with other types, constraints and
// triggers.
type table struct {
	exists  bool
	ours    bool // made by createTable, so everything about it is known
	columns map[string]column
}

type column struct {
	declared  string // type, in upper case
	notNull   bool
	otherwise string // its default, a SQL expression; "" for none
}

// readTable reads the shape of the table, if it exists.
func readTable(ctx context.Context, q querier) (table, error) {
	var kind, text string
	err := q.QueryRowContext(ctx, `SELECT type, sql FROM main.sqlite_schema WHERE name = '_async_migrations' COLLATE NOCASE`).Scan(&kind, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return table{}, nil
	}
	if err != nil {
		return table{}, err
	}
	t := table{exists: true, columns: map[string]column{}}
	if kind != "table" {
		return t, fmt.Errorf("%w: it is a %s", ErrLedger, kind)
	}
	if t.ours, err = untouched(ctx, q, text); err != nil {
		return t, err
	}
	if err := t.readColumns(ctx, q); err != nil {
		return t, err
	}
	for _, name := range []string{"name", "status"} {
		if _, ok := t.columns[name]; !ok {
			return t, fmt.Errorf("%w: it has no column %s", ErrLedger, name)
		}
	}
	return t, nil
}

// untouched reports whether the table is as createTable makes it, without triggers.
func untouched(ctx context.Context, q querier, text string) (bool, error) {
	if text != createTable {
		return false, nil
	}
	var triggers int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM main.sqlite_schema WHERE type IN ('trigger', 'index') AND sql IS NOT NULL
		AND tbl_name = '_async_migrations' COLLATE NOCASE`).Scan(&triggers)
	return triggers == 0, err
}

func (t table) readColumns(ctx context.Context, q querier) error {
	rows, err := q.QueryContext(ctx, `SELECT lower(name), upper(type), "notnull", ifnull(dflt_value, '') FROM pragma_table_xinfo('_async_migrations', 'main')`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.declared, &c.notNull, &c.otherwise); err != nil {
			return err
		}
		t.columns[name] = c
	}
	return rows.Err()
}

// makeTable is readTable, but creates the table if it does not exist.
func makeTable(ctx context.Context, q querier) (table, error) {
	t, err := readTable(ctx, q)
	if err != nil || t.exists {
		return t, err
	}
	if err := exec(ctx, q, strings.Replace(createTable, "TABLE ", "TABLE main.", 1)); err != nil {
		return t, err
	}
	return readTable(ctx, q)
}

// now returns the SQL for the current time in a column: in the form of the table's own
// default for started_at if the columns are alike, otherwise as its type requires.
func (t table) now(name string) string {
	c, start := t.columns[name], t.columns["started_at"]
	own := strings.Contains(start.otherwise, "(") || strings.HasPrefix(strings.ToUpper(start.otherwise), "CURRENT_")
	if own && c.declared == start.declared {
		return "(" + start.otherwise + ")"
	}
	if strings.Contains(c.declared, "INT") || strings.Contains(c.declared, "REAL") {
		return "unixepoch()"
	}
	return "datetime('now')"
}

// none returns the SQL for "not yet" in a column: NULL if that is allowed, otherwise the
// table's own default.
func (t table) none(name string) string {
	c := t.columns[name]
	switch {
	case !c.notNull:
		return "NULL"
	case c.otherwise != "":
		return "(" + c.otherwise + ")"
	case strings.Contains(c.declared, "INT") || strings.Contains(c.declared, "REAL"):
		return "0"
	}
	return "''"
}

// set returns assignments for those of the columns that exist.
func (t table) set(status, started, ended, message string) string {
	set := []string{"status = " + status}
	for _, c := range [][2]string{{"started_at", started}, {"ended_at", ended}, {"error", message}} {
		if _, ok := t.columns[c[0]]; ok && c[1] != "" {
			set = append(set, c[0]+" = "+c[1])
		}
	}
	return strings.Join(set, ", ")
}

// status returns the status of a migration, or sql.ErrNoRows if the ledger does not have
// it.
func (t table) status(ctx context.Context, q querier, name string) (status string, err error) {
	var n int
	err = q.QueryRowContext(ctx, `SELECT count(*), ifnull(max(CAST(status AS TEXT)), '') FROM main._async_migrations WHERE `+matches, name).Scan(&n, &status)
	switch {
	case err != nil:
		return "", err
	case n == 0:
		return "", sql.ErrNoRows
	case n > 1:
		return "", fmt.Errorf("%w: column name has %s %d times, so none of them is its status; delete all but one and make the column a key", ErrLedger, name, n)
	}
	return status, nil
}

// register sets the row to pending_async unless it is done, in the caller's transaction.
func (t table) register(ctx context.Context, q querier, name string) (status string, err error) {
	status, err = t.status(ctx, q, name)
	switch {
	case status == StatusDone:
		return status, nil
	case errors.Is(err, sql.ErrNoRows):
		err = t.insert(ctx, q, name)
	case err == nil:
		err = exec(ctx, q, `UPDATE main._async_migrations SET `+t.pending()+` WHERE `+matches, name)
	}
	if err == nil {
		status, err = t.status(ctx, q, name)
	}
	switch {
	case busy(err):
		return "", err
	case errors.Is(err, sql.ErrNoRows):
		return "", fmt.Errorf("%w: column name does not keep %q as it was written", ErrLedger, name)
	case err != nil:
		return "", t.refusal("status", t.sameName(ctx, q, name, err))
	case status != StatusPendingAsync:
		return "", fmt.Errorf("%w: column status does not keep %q but has %q", ErrLedger, StatusPendingAsync, status)
	}
	if t.ours {
		return status, nil
	}
	return status, t.rehearse(ctx, q, name)
}

// sameName names the row that kept another from being inserted, where names compare without
// case or trailing spaces.
func (t table) sameName(ctx context.Context, q querier, name string, err error) error {
	var other string
	if q.QueryRowContext(ctx, `SELECT name FROM main._async_migrations WHERE name = ?1`, name).Scan(&other) != nil || other == name {
		return err
	}
	return fmt.Errorf("%w: column name takes %q and %q for the same; name the migration otherwise (%w)", ErrLedger, name, other, err)
}

// pending returns the values that a row gets when its migration begins.
func (t table) pending() string {
	started := "CASE status WHEN 'failed' THEN " + t.now("started_at") + " ELSE started_at END"
	return t.set("'"+StatusPendingAsync+"'", started, t.none("ended_at"), t.none("error"))
}

// insert inserts the row. Columns with a default of the table's own get that default.
func (t table) insert(ctx context.Context, q querier, name string) error {
	columns, values := "name, status", "?1, '"+StatusPendingAsync+"'"
	for _, c := range [][2]string{{"started_at", t.now("started_at")}, {"ended_at", t.none("ended_at")}, {"error", t.none("error")}} {
		if known, ok := t.columns[c[0]]; ok && known.otherwise == "" {
			columns, values = columns+", "+c[0], values+", "+c[1]
		}
	}
	return exec(ctx, q, `INSERT INTO main._async_migrations (`+columns+`) VALUES (`+values+`)`, name)
}

// end writes a terminal status, in the caller's transaction, and checks that it was stored:
// a trigger may have replaced it.
func (t table) end(ctx context.Context, q querier, name, status, message string) error {
	if _, err := t.status(ctx, q, name); errors.Is(err, sql.ErrNoRows) { // somebody deleted it
		err = t.insert(ctx, q, name)
		if err != nil {
			return err
		}
	}
	statement, args := t.ending(status, message)
	if err := exec(ctx, q, statement, append([]any{name}, args...)...); err != nil {
		return err
	}
	got, err := t.status(ctx, q, name)
	if err == nil && got != status {
		err = fmt.Errorf("%w: column status does not keep %q but has %q", ErrLedger, status, got)
	}
	return err
}

// ending returns the statement that writes a terminal status. The message is its last
// parameter.
func (t table) ending(status, message string) (statement string, args []any) {
	said := t.none("error")
	if _, ok := t.columns["error"]; ok && message != "" {
		said, args = "?2", []any{message}
	}
	return `UPDATE main._async_migrations SET ` + t.set("'"+status+"'", "", t.now("ended_at"), said) + ` WHERE ` + matches, args
}

// rehearse writes both terminal statuses into the row and rolls them back, so that a ledger
// that would not accept one of them is refused now and not after hours of work.
func (t table) rehearse(ctx context.Context, q querier, name string) error {
	for _, end := range []struct{ status, message string }{{StatusDone, ""}, {StatusFailed, "an error"}} {
		err := t.tryOut(ctx, q, func() error { return t.end(ctx, q, name, end.status, end.message) })
		if err != nil && !busy(err) {
			return t.refusal(t.culprit(ctx, q, name, end.status, end.message), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tryOut does something and rolls it back, including the effects of triggers.
func (t table) tryOut(ctx context.Context, q querier, do func() error) error {
	if err := exec(ctx, q, `SAVEPOINT chunkfill_rehearsal`); err != nil {
		return err
	}
	err := do()
	return errors.Join(err, exec(ctx, q, `ROLLBACK TO chunkfill_rehearsal`), exec(ctx, q, `RELEASE chunkfill_rehearsal`))
}

// culprit returns the column that does not accept what a terminal status writes there.
func (t table) culprit(ctx context.Context, q querier, name, status, message string) string {
	values := map[string]string{"status": "'" + status + "'", "ended_at": t.now("ended_at"), "error": t.none("error")}
	if message != "" {
		values["error"] = "'" + message + "'"
	}
	for _, c := range []string{"status", "ended_at", "error"} {
		if _, ok := t.columns[c]; !ok {
			continue
		}
		err := t.tryOut(ctx, q, func() error {
			return exec(ctx, q, `UPDATE main._async_migrations SET `+c+` = `+values[c]+` WHERE `+matches, name)
		})
		if err != nil {
			return c
		}
	}
	return "status"
}

// refusal adds to an error of the table's own rules which column it is about, unless SQLite
// has named it. Other errors, such as those of a disk, stay as they are.
func (t table) refusal(column string, err error) error {
	switch {
	case errors.Is(err, ErrLedger) || !isRule(err):
		return err
	case strings.Contains(err.Error(), "_async_migrations."):
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return fmt.Errorf("%w: column %s: %w", ErrLedger, column, err)
}

// isRule reports whether an error comes from the table's own rules, rather than from a
// temporary condition.
func isRule(err error) bool {
	switch sqlite.Primary(err) {
	case sqlite.Constraint, sqlite.Mismatch, sqlite.Error:
		return true
	}
	return errors.Is(err, ErrLedger)
}
