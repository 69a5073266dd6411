package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Effects are what a statement sets off beside itself.
type Effects struct {
	Triggers []Trigger
	Deferred bool // a foreign key is checked at COMMIT only
}

// Trigger is one that a statement may fire, or that another such trigger may.
type Trigger struct {
	Name, Table string
	Timing      string   // before or after
	Event       string   // such as "update of email", "delete"
	Calls       []string // functions of the application, unless they are deterministic
}

// EffectsOf reads from the program of a statement which triggers it may fire, TEMP triggers
// of the connection included.
func (t Table) EffectsOf(ctx context.Context, q Querier, s Statement) (e Effects, err error) {
	text, args := s.SQL(t.Key.Sample())
	programs, err := explain(ctx, q, text, args)
	if err != nil {
		return e, err
	}

	for _, program := range programs {
		e.Deferred = e.Deferred || slices.ContainsFunc(program, op.defers)
		if !isTrigger(program) {
			continue
		}
		trigger, err := loadTrigger(ctx, q, strings.TrimPrefix(program[0].p4, triggerMark))
		if err != nil {
			return e, err
		}
		if trigger.Calls, err = hostCalls(ctx, q, program); err != nil {
			return e, err
		}
		e.Triggers = append(e.Triggers, trigger)
	}
	return e, nil
}

// defers reports whether an instruction counts violations of a foreign key for COMMIT.
func (o op) defers() bool { return o.code == "FkCounter" && o.p1 != 0 }

func loadTrigger(ctx context.Context, q Querier, name string) (Trigger, error) {
	schemas := []string{"main"}
	names, err := databases(ctx, q)
	if err != nil {
		return Trigger{}, fmt.Errorf("look up trigger %s: %w", name, err)
	}
	if slices.Contains(names, "temp") {
		schemas = []string{"temp", "main"}
	}

	t := Trigger{Name: name}
	for _, schema := range schemas {
		var text string
		err := q.QueryRowContext(ctx, "SELECT name, tbl_name, sql FROM "+schema+".sqlite_schema WHERE type = 'trigger' AND name = ? COLLATE NOCASE",
			name).Scan(&t.Name, &t.Table, &text)
		switch {
		case err == nil:
			t.Timing, t.Event = triggerHead(text)
			return t, nil
		case !errors.Is(err, sql.ErrNoRows):
			return t, fmt.Errorf("look up trigger %s: %w", name, err)
		}
	}
	return t, nil
}

// triggerHead returns when and on what a trigger fires, from its CREATE TRIGGER.
func triggerHead(text string) (timing, event string) {
	words := tokens(text)
	at := slices.Index(words, "trigger") + 1
	if at+2 < len(words) && words[at] == "if" && words[at+1] == "not" {
		at += 3
	}
	at++ // its name
	if at < len(words) && words[at] == "." {
		at += 2
	}

	timing = "before"
	for ; at < len(words) && words[at] != "on"; at++ {
		switch w := words[at]; {
		case event == "" && (w == "before" || w == "after"):
			timing = w
		case event == "" && w == "instead":
			timing, at = "instead of", at+1
		case w == ",":
			event += ","
		default:
			event += " " + w
		}
	}
	return timing, strings.TrimSpace(event)
}

// tokens returns the names of a text, bare ones folded, and its punctuation.
func tokens(text string) (list []string) {
	for len(text) > 0 {
		length, name := Token(text)
		switch {
		case name != "" && inName(text[0]):
			list = append(list, FoldName(name))
		case name != "":
			list = append(list, name)
		case strings.TrimSpace(text[:length]) != "" && length == 1:
			list = append(list, text[:1])
		}
		text = text[length:]
	}
	return list
}

// hostCalls returns the functions that a program calls which the application has registered.
// What those do outside of the database no rollback undoes, unless they are deterministic.
func hostCalls(ctx context.Context, q Querier, program []op) (calls []string, err error) {
	for _, o := range program {
		if !slices.Contains([]string{"Function", "PureFunc", "AggStep", "AggStep1"}, o.code) {
			continue
		}
		name, _, _ := strings.Cut(o.p4, "(")
		if strings.HasPrefix(name, "chunkfill_") || slices.Contains(calls, name) {
			continue
		}

		const deterministic = 0x800
		var host bool
		err := q.QueryRowContext(ctx, "SELECT count(*) > 0 AND NOT max(builtin OR flags & ?) FROM pragma_function_list WHERE name = ? COLLATE NOCASE",
			deterministic, name).Scan(&host)
		if err != nil {
			return nil, fmt.Errorf("look up function %s: %w", name, err)
		}
		if host {
			calls = append(calls, name)
		}
	}
	return calls, nil
}

// Reference is a foreign key of another table, or of the table itself, that refers to it.
type Reference struct {
	Table    string
	Columns  []string
	To       []string // columns that it refers to; none for the primary key
	OnDelete string   // CASCADE, SET NULL, SET DEFAULT, RESTRICT or NO ACTION
	OnUpdate string
}

// References lists the foreign keys that refer to the table, if the connection enforces
// them.
func (t Table) References(ctx context.Context, q Querier) ([]Reference, error) {
	enforced, err := Enforces(ctx, q)
	if err != nil || !enforced {
		return nil, err
	}
	return ReferencesTo(ctx, q, t.Name)
}

// Enforces reports whether a connection enforces foreign keys, and makes their actions.
func Enforces(ctx context.Context, q Querier) (enforced bool, err error) {
	err = q.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&enforced)
	return enforced, err
}

// ReferencesTo lists the foreign keys that refer to a table, enforced or not.
func ReferencesTo(ctx context.Context, q Querier, table string) (list []Reference, err error) {
	rows, err := q.QueryContext(ctx, `SELECT m.name, f.seq, f."from", f."to", f.on_delete, f.on_update
		FROM main.sqlite_schema m, pragma_foreign_key_list(m.name, 'main') f
		WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE ORDER BY m.name, f.id, f.seq`, table)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys to %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Reference
		var seq int
		var from string
		var to sql.NullString
		if err := rows.Scan(&r.Table, &seq, &from, &to, &r.OnDelete, &r.OnUpdate); err != nil {
			return nil, fmt.Errorf("read the foreign keys to %s: %w", table, err)
		}
		if seq == 0 {
			list = append(list, r)
		}
		last := &list[len(list)-1]
		last.Columns = append(last.Columns, from)
		if to.Valid {
			last.To = append(last.To, to.String)
		}
	}
	return list, rows.Err()
}

// Indexes returns the columns of each index of the table, the key of its rows included; ""
// for an expression. The b-tree of the table itself is not among them.
func (t Table) Indexes(ctx context.Context, q Querier) (list [][]string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT x.seqno, coalesce(x.name, CASE x.cid WHEN -1 THEN ? ELSE '' END)
		FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE NOT (l.origin = 'pk' AND ?) ORDER BY l.seq, x.seqno`, t.RowidAlias(), t.Name, t.WithoutRowid)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int
		var column string
		if err := rows.Scan(&seq, &column); err != nil {
			return nil, fmt.Errorf("read indexes of %s: %w", t.Name, err)
		}
		if seq == 0 {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], column)
	}
	return list, rows.Err()
}
