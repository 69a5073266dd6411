// Package suggest rewrites a statement in the forms that the gate accepts. Call [For].
package suggest

import (
	"cmp"
	"errors"
	"fmt"
	"go/format"
	"regexp"
	"strconv"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// ErrNothing is returned for SQL without a statement that needs a decision. There is
// nothing to suggest.
var ErrNothing = errors.New("no statement that needs a decision")

// For returns Go code for each statement of a SQL text: a chunked job for UPDATE and DELETE
// if that is possible, otherwise the statement in RunAsyncMigration; and the statement
// annotated, to stay where it is.
func For(sql string) (string, error) {
	statements, _ := sqlscan.Parse(sql)
	var parts []string
	for _, s := range statements {
		if s.Kind.Costs() && s.Kind != sqlscan.Unread {
			parts = append(parts, one(s, sql[s.Start:s.End]))
		}
	}
	if len(parts) == 0 {
		return "", fmt.Errorf("%w in %q", ErrNothing, sql)
	}
	return strings.Join(parts, "\n\n"), nil
}

func one(s sqlscan.Statement, text string) string {
	first := wrapped(s, text)
	switch {
	case s.Kind == sqlscan.CreateIndex && s.Table != "":
		first = index(s, text)
	case s.Kind == sqlscan.Update || s.Kind == sqlscan.Delete:
		if s.Job.Obstacle == "" {
			first = job(s)
		} else {
			first = "// As it stands it cannot be a chunked job: " + s.Job.Obstacle + ".\n" + first
		}
	case copies(s):
		first = rebuild(s) + first
	}
	return gofmt(first + "\n\n// Or, left in place:\n\n" + annotated(text))
}

// gofmt formats statements; code that it cannot parse stays as it is.
func gofmt(code string) string {
	out, err := format.Source([]byte(code))
	if err != nil {
		return code
	}
	return string(out)
}

func job(s sqlscan.Statement) string {
	var b strings.Builder
	kind := "Update"
	if s.Kind == sqlscan.Delete {
		kind = "Delete"
	}
	fmt.Fprintf(&b, "err := eng.Start(ctx, jobs.%s{\n\tName: %q,\n\tTable: %q,\n", kind, name(s), s.Table)
	if len(s.Job.Set) > 0 {
		b.WriteString("\tSet: []jobs.Assign{\n")
		for _, a := range s.Job.Set {
			fmt.Fprintf(&b, "\t\t{Column: %q, Expr: %s},\n", a.Column, quote(a.Expr))
		}
		b.WriteString("\t},\n")
	}
	if s.Job.Where != "" {
		fmt.Fprintf(&b, "\tWhere: %s,\n", quote(s.Job.Where))
	}
	if s.Job.Params > 0 {
		fmt.Fprintf(&b, "\tArgs: []any{ /* the values of the %d ? in Set, then in Where */ },\n", s.Job.Params)
	}
	b.WriteString("})")
	return b.String()
}

// index is a CREATE INDEX as a job.
func index(s sqlscan.Statement, text string) string {
	return fmt.Sprintf(`// In small batches beside live writes. Where a plain CREATE INDEX takes no longer than they can wait, that is better.
// By hand: chunkfill index --db FILE 'CREATE INDEX …'
err := eng.Start(ctx, jobs.Index{
	Name:   %q,
	Table:  %q,
	Create: %s,
})`, cmp.Or(s.Index, name(s)), s.Table, quote(text))
}

// copies reports whether a statement may be there to give a table another shape.
func copies(s sqlscan.Statement) bool {
	switch s.Kind {
	case sqlscan.CreateTableAs, sqlscan.InsertSelect:
		return true
	case sqlscan.AlterTable:
		return s.Cost == sqlscan.Scan || s.Cost == sqlscan.Rewrite
	}
	return false
}

// rebuild says how a table gets another shape otherwise.
func rebuild(s sqlscan.Statement) string {
	return fmt.Sprintf(`// If it is there to give a table another shape: jobs.Rebuild does that in small batches beside live writes,
// and so does chunkfill rebuild --db FILE --table %s --schema NEW.sql
`, cmp.Or(s.Table, "TABLE"))
}

func wrapped(s sqlscan.Statement, text string) string {
	return fmt.Sprintf(`err := store.RunAsyncMigration(ctx, %q, func(ctx context.Context, db *sql.DB) error {
	// Holds the one connection for its whole duration: measure it at production scale.
	_, err := db.ExecContext(ctx, %s)
	return err
})`, name(s), quote(text))
}

func annotated(text string) string {
	return fmt.Sprintf(`// PREFLIGHT: async=true reason="…"
_, err := db.ExecContext(ctx, %s)`, quote(text))
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

var verbs = map[sqlscan.Kind]string{
	sqlscan.CreateTableAs: "copy", sqlscan.CreateIndex: "index", sqlscan.AlterTable: "alter", sqlscan.Update: "fill",
	sqlscan.Delete: "purge", sqlscan.InsertSelect: "copy", sqlscan.Reindex: "reindex", sqlscan.Vacuum: "vacuum",
}

// name proposes a name for the migration.
func name(s sqlscan.Statement) string {
	parts := []string{verbs[s.Kind], s.Table}
	if len(s.Job.Set) > 0 {
		parts = append(parts, s.Job.Set[0].Column)
	}
	return strings.Trim(notName.ReplaceAllString(strings.ToLower(strings.Join(parts, "_")), "_"), "_") + "_v1"
}

// quote returns a string literal, of the kind in which the SQL is easier to read.
func quote(sql string) string {
	if strings.ContainsAny(sql, "\"\n\\") && strconv.CanBackquote(strings.ReplaceAll(sql, "\n", "")) {
		return "`" + sql + "`"
	}
	return strconv.Quote(sql)
}
