package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

// The jobs, as the service of then defined them. None is idempotent: n counts how often
// a row was done.
var (
	plusOne = jobs.Assign{Column: "n", Expr: "n + 1"}

	inc   = jobs.Update{Name: "job", Table: "items", Set: []jobs.Assign{plusOne}}
	words = jobs.Update{Name: "job", Table: "ITEMS", Set: []jobs.Assign{plusOne, {Column: "Word", Expr: "'new'"}}, Todo: "word <> 'new'"}
	never = jobs.Update{Name: "job", Table: "items", Set: []jobs.Assign{plusOne}, Todo: "word <> 'new'"}

	// Arguments of every type that a driver takes.
	withArgs = jobs.Update{Name: "job", Table: "items", Set: []jobs.Assign{plusOne, {Column: "o", Expr: "?"}},
		Where: "id > ? AND word <> ? AND ? IS NOT NULL AND ? IS NULL AND id < ? AND word <> ? AND ?",
		Args: []any{[]byte("\x00\x01"), 0, "new", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), nil, 1e9,
			int64(7), true}}

	transform = jobs.Transform{Name: "job", Table: "items", Read: []string{"id", "n"}, Write: []string{"n", "word"}, Version: "2",
		Row: func(read []any) ([]any, error) {
			return []any{read[1].(int64) + 1, fmt.Sprintf("word %d", read[0])}, nil
		}}

	deleteArgs = jobs.Delete{Name: "job", Table: "items", Where: "id % 2 = ? AND word = ?", Args: []any{1, "old"}}
	deleteTodo = jobs.Delete{Name: "job", Table: "items", Where: "id % 2 = 1"}
	deleteAll  = jobs.Delete{Name: "job", Table: "items"}
)

// rows are the ids 3, 6 … 270.
const rows = "WITH RECURSIVE c(i) AS (SELECT 3 UNION ALL SELECT i + 3 FROM c WHERE i < 270) "

// items is a table of 90 rows with room between the keys. A row whose n is 7 cannot be
// done. One column has a name that is part of another's.
func items(more ...string) []string {
	return append([]string{
		"CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0 CHECK (n <> 8), word TEXT NOT NULL DEFAULT 'old', o TEXT)",
		"INSERT INTO items (id) " + rows + "SELECT i FROM c",
	}, more...)
}

// keyed is a table with another key; columns declare it, and values is what it is for
// row i.
func keyed(columns, values, options string, more ...string) []string {
	return append([]string{
		"CREATE TABLE items (" + strings.Replace(columns, "@", "id INTEGER NOT NULL, n INTEGER NOT NULL DEFAULT 0 CHECK (n <> 8), word TEXT NOT NULL DEFAULT 'old'", 1) + ") " + options,
		"INSERT INTO items " + rows + "SELECT " + strings.Replace(values, "@", "i, 0, 'old'", 1) + " FROM c",
	}, more...)
}

// kinds: each kind of job, and of key, in the middle.
func kinds() []state {
	const (
		text    = "printf('%s%03d', char(233), i)" // é
		collate = "a TEXT COLLATE NOCASE, b TEXT, @, PRIMARY KEY (a, b)"
	)
	unique := keyed("@, a INTEGER NOT NULL, b INTEGER NOT NULL", "@, i, -i", "",
		"CREATE UNIQUE INDEX by_a ON items (a)", "CREATE UNIQUE INDEX by_b ON items (b)")
	return []state{
		{name: "args", tables: items(), job: withArgs, killed: true, runs: killAfter},
		{name: "transform", tables: items(), job: transform, killed: true, runs: killAfter},
		{name: "path-json", tables: packets(), job: jobs.PathJSON("job", "packets"), killed: true, runs: killAfter},
		{name: "path-json-done", tables: packets(), job: jobs.PathJSON("job", "packets"), runs: []run{{}}},
		{name: "delete-args", tables: items(), job: deleteArgs, killed: true, runs: killAfter},
		{name: "delete-todo", tables: items(), job: deleteTodo, killed: true, runs: killAfter},
		{name: "delete-all", tables: items(), job: deleteAll, killed: true, runs: killAfter},
		{name: "delete-all-text", tables: keyed("a TEXT PRIMARY KEY, @", text+", @", ""), job: deleteAll, killed: true, runs: killAfter},
		{name: "delete-all-without-rowid", tables: keyed("a TEXT PRIMARY KEY, @", text+", @", "WITHOUT ROWID"), job: deleteAll, killed: true, runs: killAfter},
		{name: "key-text", tables: keyed(collate, "'A' || (i % 2), "+text+", @", "", "UPDATE items SET n = 7 WHERE id = 12"), job: inc, killed: true, runs: []run{
			{steps: []step{{"row set aside", nil}, {"batch 3", die}}}}},
		{name: "key-text-at-the-bound", tables: keyed("a TEXT PRIMARY KEY, @", text+", @", ""), job: words, killed: true, runs: []run{
			{steps: kill("verifying")}}},
		{name: "key-blob", tables: keyed("a BLOB PRIMARY KEY, @", "CAST("+text+" AS BLOB), @", "WITHOUT ROWID"), job: inc, killed: true, runs: killAfter},
		{name: "key-real", tables: keyed("a REAL PRIMARY KEY, @", "i / 7.0, @", ""), job: inc, killed: true, runs: killAfter},
		{name: "key-desc", tables: keyed("a INTEGER, b INTEGER, @, PRIMARY KEY (a DESC, b)", "i / 30, i, @", ""), job: inc, killed: true, runs: killAfter},
		{name: "key-unique", tables: unique, job: inc, killed: true, runs: killAfter},
	}
}

// packets is the table of PathJSON.
func packets() []string {
	return []string{
		"CREATE TABLE packets (id INTEGER PRIMARY KEY, raw_hex TEXT, path_json TEXT, n INTEGER NOT NULL DEFAULT 0)",
		"INSERT INTO packets (id, raw_hex) " + rows + "SELECT i, printf('1542%04X', i) FROM c",
		"CREATE TRIGGER counted AFTER UPDATE OF path_json ON packets BEGIN UPDATE packets SET n = n + 1 WHERE id = new.id; END",
	}
}
