// Package preflight is the gate before a deploy: it finds the statements of a change whose
// cost grows with a table, and requires a decision for each. It does not guess how large
// the tables are. MIGRATIONS.md describes the findings and what accepts them.
//
// Most callers want [Check].
package preflight

import (
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// Rule is one kind of finding.
type Rule struct {
	Code string // PF1xx a statement, PF2xx a waiver, PF3xx a file
	Name string
	What string // what is found
	Why  string // why it matters
	Fix  string // how to resolve it, in one line
}

// Ways lists the ways in which a statement is accepted.
const Ways = `A statement needs one of:
  store.RunAsyncMigration(ctx, "name_v1", func(ctx context.Context, db *sql.DB) error { … })
      around it; for an UPDATE, a DELETE or a CREATE INDEX, a chunked job is better
  // PREFLIGHT: async=true reason="…"
      in the comment directly above its block, with -- in SQL: what runs it, when, why that is fine
  PREFLIGHT-MIGRATION-SCALE: <30s N=1.9M
      in the body of the pull request: the time and number of rows measured at production scale
`

// Statement reports whether the rule is about statements rather than waivers or files.
func (r Rule) Statement() bool { return strings.HasPrefix(r.Code, "PF1") }

const (
	codeIndex        = "PF101"
	codeMetadata     = "PF102"
	codeScan         = "PF103"
	codeRewrite      = "PF104"
	codeUpdate       = "PF105"
	codeDelete       = "PF106"
	codeInsertSelect = "PF107"
	codeTableAs      = "PF108"
	codeReindex      = "PF109"
	codeVacuum       = "PF110"
	codeCommand      = "PF111"
	codeAnnotation   = "PF201"
	codeReason       = "PF202"
	codeUnused       = "PF203"
	codeScale        = "PF204"
	codeScaleUnused  = "PF205"
	codeUnreadable   = "PF301"
	codeNotRead      = "PF302"
)

const (
	decide   = "wrap it in RunAsyncMigration, annotate it or declare its scale"
	index    = "make it a jobs.Index, wrap it in RunAsyncMigration, annotate it or declare its scale"
	chunk    = "make it a chunked job, wrap it in RunAsyncMigration, annotate it or declare its scale"
	rewrites = "every matching row is read and written in one transaction; other writes wait until it ends"
)

var rules = []Rule{
	{codeIndex, "create-index", "a CREATE [UNIQUE] INDEX",
		"every row is read, sorted and written into the index while the only writer is held; during boot no health check is answered", index},
	{codeMetadata, "alter-table-metadata", "an ALTER TABLE that changes only the schema: RENAME, ADD COLUMN, DROP CONSTRAINT, DROP NOT NULL",
		"it is equally fast on any table, but code that is still running, such as the previous release, must work with both schemas", decide},
	{codeScan, "alter-table-scan", "an ALTER TABLE that checks rows: ADD COLUMN with CHECK or generated NOT NULL, ADD CHECK, SET NOT NULL",
		"every row is read and checked while the only writer is held", decide},
	{codeRewrite, "alter-table-rewrite", "an ALTER TABLE … DROP COLUMN, or one that cannot be parsed",
		"every row is read and written in one transaction; other writes wait until it ends", decide},
	{codeUpdate, "update", "an UPDATE that is not limited to one key or a list of keys", rewrites, chunk},
	{codeDelete, "delete", "a DELETE that is not limited to one key or a list of keys", rewrites, chunk},
	{codeInsertSelect, "insert-select", "an INSERT or REPLACE … SELECT that reads a table",
		"every matching row is read and copied in one transaction; other writes wait until it ends", decide},
	{codeTableAs, "create-table-as", "a CREATE TABLE … AS SELECT that reads a table",
		"the rows are read and copied in one transaction; other writes wait until it ends", decide},
	{codeReindex, "reindex", "a REINDEX", "every index it names is rebuilt while the only writer is held", decide},
	{codeVacuum, "vacuum", "a VACUUM", "the whole file is copied, then written back through the WAL; VACUUM INTO reads all of it on the only connection", decide},

	{codeCommand, "table-command", "an INSERT that is a command to a full-text table: rebuild, optimize, delete-all",
		"it looks like an ordinary row but processes the whole table in one transaction; rebuild also reads the whole content table", decide},

	{codeAnnotation, "annotation-malformed", "a comment that begins like an annotation but is not a valid one",
		"a decision that cannot be parsed does not count", `write // PREFLIGHT: async=true reason="…", in SQL with --`},
	{codeReason, "annotation-reason", "an annotation without a meaningful reason: at least three words and twelve letters",
		"a reviewer must be able to judge it", "say what runs the statement, when, and why that is fine"},
	{codeUnused, "annotation-unused", "an annotation with no statement below it that needs one",
		"it would accept whatever statement is added below it", "put it directly above the statement's block, or remove it"},
	{codeScale, "scale-malformed", "a PREFLIGHT-MIGRATION-SCALE line without both a duration and a number of rows",
		"half a declaration cannot be checked", "write PREFLIGHT-MIGRATION-SCALE: <30s N=80K on a line of its own"},
	{codeScaleUnused, "scale-unused", "a PREFLIGHT-MIGRATION-SCALE line for a change that needs none",
		"the next statement added to this pull request would be accepted unseen", "remove the line"},
	{codeUnreadable, "unreadable", "a .go or .sql file that is not valid Go or not UTF-8 text",
		"statements in it may have been missed", "fix the file, or leave it out with exclude in " + ConfigName},
	{codeNotRead, "not-read", "SQL that cannot be parsed, or that is known only at run time",
		"its effect on a table cannot be determined", "write it out or correct it; otherwise treat it as a statement that processes a whole table"},
}

// Rules returns all rules in the order of their codes.
func Rules() []Rule { return slices.Clone(rules) }

// FindRule finds a rule by its code or name, ignoring case.
func FindRule(codeOrName string) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool {
		return strings.EqualFold(r.Code, codeOrName) || strings.EqualFold(r.Name, codeOrName)
	})
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}

func ruleOf(code string) Rule {
	r, _ := FindRule(code)
	return r
}

// statementCode returns the code of the rule that a statement falls under, or "".
func statementCode(h *hit) string {
	switch h.Kind {
	case sqlscan.CreateIndex:
		return codeIndex
	case sqlscan.AlterTable:
		return map[sqlscan.Cost]string{sqlscan.Metadata: codeMetadata, sqlscan.Scan: codeScan, sqlscan.Rewrite: codeRewrite}[h.Cost]
	case sqlscan.Update:
		return codeUpdate
	case sqlscan.Delete:
		return codeDelete
	case sqlscan.InsertSelect:
		return codeInsertSelect
	case sqlscan.CreateTableAs:
		return codeTableAs
	case sqlscan.Reindex:
		return codeReindex
	case sqlscan.Vacuum:
		return codeVacuum
	case sqlscan.Unread:
		return codeNotRead
	case sqlscan.TableCommand:
		if h.command {
			return codeCommand
		}
	}
	return "" // a statement that only defines tables is not a finding
}
