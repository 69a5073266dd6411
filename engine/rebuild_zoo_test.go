package engine_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// odd is a table out of the common, what becomes of it, and what an application does meanwhile.
type odd struct {
	name   string
	table  string // t, unless it says otherwise
	before string
	after  string // the new table, and indexes that are new or others
	set    []jobs.Assign

	// writes are made while the job runs, each with the number of the write for every %d. None may fail.
	writes []string
	once   string // and this a single time, amid the copy
	// reads give after the swap what they gave just before it.
	reads []string
	// ends are what the database answers at the end.
	ends map[string]string
}

// to300 begins a statement with the numbers from 1 to 300.
const to300 = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "

// TestRebuildZoo rebuilds odd tables beside live writes. Afterwards the schema is the one that was
// wanted, all that stands around the table is as it was, to the byte, and so are the rows.
func TestRebuildZoo(t *testing.T) {
	for _, o := range odds {
		t.Run(o.name, func(t *testing.T) {
			if o.table == "" {
				o.table = "t"
			}
			o.rebuild(t)
		})
	}
}

func (o odd) rebuild(t *testing.T) {
	db := rebuildDB(t, o.before)
	want := o.wanted(t, db)
	old := ident("_chunkfill_old_" + o.table)
	made, swapped := 0, false
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && o.once != "" {
			if _, err := db.Exec(o.once); err != nil {
				t.Errorf("%s: %v", o.once, err)
			}
			o.once = ""
		}
		if !swapped && valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE lower(name) = lower('_chunkfill_old_"+quoted(o.table)+"')") == "1" {
			swapped = true
			o.same(t, db, old)
		}
		if made++; made > 400 {
			return
		}
		for _, w := range o.writes {
			if _, err := db.Exec(strings.ReplaceAll(w, "%d", fmt.Sprint(made))); err != nil {
				t.Errorf("write %d, %s: %v", made, w, err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err := eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: o.table, Schema: o.after, Set: o.set}); err != nil {
		t.Fatal(err)
	}
	if !swapped {
		t.Error("nothing was compared")
	}

	if got := schemaLines(t, db, o.table); !slices.Equal(got, want) {
		t.Errorf("the schema is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	o.ends = merge(o.ends, map[string]string{
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check": "ok",
		"SELECT count(*) FROM pragma_foreign_key_check":                    "0",
	})
	for _, list := range []string{"sqlite_sequence WHERE name", "sqlite_stat1 WHERE tbl", "sqlite_stat1 WHERE idx"} {
		if name, _, _ := strings.Cut(list, " "); valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = '"+name+"'") == "1" {
			o.ends["SELECT count(*) FROM "+list+" GLOB '_chunkfill*'"] = "0"
		}
	}
	for query, want := range o.ends {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// same compares the rows of the table with those of the old one, by type and byte, and what the
// application reads.
func (o odd) same(t *testing.T, db *sql.DB, old string) {
	t.Helper()
	columns := func(table string) (all []string) {
		rows, err := db.Query("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden IN (0, 2, 3)", table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			all = append(all, name)
		}
		return all
	}
	var was, is []string
	for _, c := range columns(o.table) {
		expr := ident(c)
		if i := slices.IndexFunc(o.set, func(a jobs.Assign) bool { return strings.EqualFold(a.Column, c) }); i >= 0 {
			expr = o.set[i].Expr
		} else if !slices.ContainsFunc(columns("_chunkfill_old_"+o.table), func(name string) bool { return strings.EqualFold(name, c) }) {
			continue
		}
		was, is = append(was, "quote("+expr+")", "typeof("+expr+")"), append(is, "quote("+ident(c)+")", "typeof("+ident(c)+")")
	}
	a := "SELECT " + strings.Join(was, ", ") + " FROM main." + old
	b := "SELECT " + strings.Join(is, ", ") + " FROM main." + ident(o.table)
	for _, q := range []string{a + " EXCEPT " + b, b + " EXCEPT " + a} {
		if got := valueOf(t, db, "SELECT count(*) FROM ("+q+")"); got != "0" {
			t.Errorf("%s: %s rows", q, got)
		}
	}
	if a, b := valueOf(t, db, "SELECT count(*) FROM "+old), valueOf(t, db, "SELECT count(*) FROM main."+ident(o.table)); a != b || a == "0" {
		t.Errorf("%s rows, %s before", b, a)
	}
	for _, read := range o.reads {
		if got := valueOf(t, db, read); got != "1" {
			t.Errorf("%s: %s", read, got)
		}
	}
}

// wanted is the schema that there is to be: that of the database, with the new table and its indexes as an
// empty database has them.
func (o odd) wanted(t *testing.T, db *sql.DB) []string {
	t.Helper()
	empty, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	empty.SetMaxOpenConns(1)
	if _, err := empty.Exec("PRAGMA foreign_keys = 0; " + o.after); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query("SELECT name, sql FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE AND type = 'index' AND sql <> ''", o.table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			t.Fatal(err)
		}
		if valueOf(t, empty, "SELECT count(*) FROM sqlite_schema WHERE name = '"+quoted(name)+"'") == "0" {
			if _, err := empty.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	own := func(line string) bool {
		return strings.HasPrefix(line, "table "+strings.ToLower(o.table)+"|") || strings.HasPrefix(line, "index ") && strings.Contains(line, "|"+strings.ToLower(o.table)+"|") ||
			strings.HasPrefix(line, "pragma ")
	}
	lines := slices.DeleteFunc(schemaLines(t, db, o.table), own)
	lines = append(lines, slices.DeleteFunc(schemaLines(t, empty, o.table), func(line string) bool { return !own(line) })...)
	slices.Sort(lines)
	return lines
}

// schemaLines lists all that the schema holds besides what is ours, and what pragmas say of a table.
func schemaLines(t *testing.T, db *sql.DB, table string) (lines []string) {
	t.Helper()
	q := "'" + quoted(table) + "'"
	rows, err := db.Query(`SELECT type || ' ' || lower(name), lower(tbl_name), coalesce(sql, ''), type = 'table' OR type = 'index' FROM sqlite_schema WHERE name NOT LIKE '%async\_migration%' ESCAPE '\'
		AND name NOT IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4') UNION ALL
		SELECT 'pragma index ' || lower(l.name), '', l."unique" || l.origin || l.partial || ' ' || x.seqno || ' ' || lower(coalesce(x.name, '')) || ' ' || x."desc" || x.coll || x.key, 0 FROM pragma_index_list(` + q + `, 'main') l, pragma_index_xinfo(l.name, 'main') x UNION ALL
		SELECT 'pragma column ' || lower(name), '', cid || ' ' || type || ' ' || "notnull" || coalesce(dflt_value, '') || ' ' || pk || hidden, 0 FROM pragma_table_xinfo(` + q + `, 'main') UNION ALL
		SELECT 'pragma foreign key ' || seq, '', "table" || '.' || coalesce("to", '') || ' ' || "from" || on_update || on_delete, 0 FROM pragma_foreign_key_list(` + q + `, 'main') UNION ALL
		SELECT 'pragma table', '', type || wr || strict, 0 FROM pragma_table_list WHERE schema = 'main' AND name = ` + q + ` COLLATE NOCASE`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, of, text string
		var tokens bool
		if err := rows.Scan(&name, &of, &text, &tokens); err != nil {
			t.Fatal(err)
		}
		if tokens {
			text = blanks.ReplaceAllString(strings.NewReplacer(`"`, "", "`", "", "[", "", "]", "").Replace(strings.ToLower(text)), "")
			text = strings.Replace(text, "ifnotexists", "", 1)
		}
		lines = append(lines, name+"|"+of+"|"+text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

var blanks = regexp.MustCompile(`(--[^\n]*(\n|$))|(/\*.*?\*/)|[ \t\n]+`)

func ident(name string) string  { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func quoted(name string) string { return strings.ReplaceAll(name, "'", "''") }

func merge(a, b map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}
