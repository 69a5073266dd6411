package torture

// mirror has triggers write rows into the shadow, in place of keys into the log.
func mirror(insert string, update string) []Edit {
	return []Edit{{
		File: "internal/reshape/watch.go",
		Old:  "\tbodies := map[string][2]string{\"ai\": {\"AFTER INSERT\", log(news)}, \"au\": {\"AFTER UPDATE\", log(olds) + log(news)}, \"ad\": {\"AFTER DELETE\", log(olds)}}\n",
		New: `	var columns, values []string
	for _, p := range s.copied {
		if p.same {
			columns, values = append(columns, lite.Ident(p.column)), append(values, "NEW."+lite.Ident(p.column))
		}
	}
	shadow := lite.Ident(shadowName(s.Table))
	gone := func(values []string) string {
		return "DELETE FROM " + shadow + " WHERE (" + lite.Idents(s.key) + ") = (" + strings.Join(values, ", ") + "); "
	}
	insert := "` + insert + ` INTO " + shadow + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(values, ", ") + "); "
	_, _ = log, insert
	bodies := map[string][2]string{"ai": {"AFTER INSERT", gone(news) + insert}, "au": {"AFTER UPDATE", ` + update + `}, "ad": {"AFTER DELETE", gone(olds)}}
`,
	}}
}

// ReshapeBugs are those that the random plays and the odd tables of a rebuild must catch.
var ReshapeBugs = []Bug{
	{"a mirror of NEW", mirror("INSERT", "gone(olds) + gone(news) + insert")},
	{"a mirror by INSERT OR REPLACE", mirror("INSERT OR REPLACE", "insert")},
	{"rows that a REPLACE removes are not noted", []Edit{{
		File: "internal/reshape/watch.go",
		Old:  "\tif len(arriving) > 0 {\n",
		New:  "\tif false {\n",
	}}},
	{"rows that a REPLACE removes by a default are not noted", []Edit{{
		File: "internal/reshape/watch.go",
		Old:  "if notNull && instead != \"NULL\" {",
		New:  "if false && notNull && instead != \"NULL\" {",
	}}},
	{"rows that a REPLACE removes by the number to come are not noted", []Edit{{
		File: "internal/reshape/watch.go",
		Old:  "if slices.ContainsFunc(of, func(t uniqueTerm) bool { return t.expression",
		New:  "if slices.ContainsFunc(of, func(t uniqueTerm) bool { return false && t.expression",
	}}},
	{"rows that a REPLACE removes by an expression that compares are not noted", []Edit{{
		File: "internal/reshape/watch.go",
		Old:  "s.asStored(c, values[name])",
		New:  "values[name]",
	}}},
	{"rows that a REPLACE removes by a number that is no key are not noted", []Edit{{
		File: "internal/reshape/watch.go",
		Old:  "if !lite.SameName(s.key[0], number) {",
		New:  "if false {",
	}}},
	{"triggers stay where the table has changed", []Edit{{
		File: "engine/left.go",
		Old:  "if !errors.Is(cause, ErrTableChanged) || at == nil",
		New:  "if !errors.Is(cause, ErrTableChanged) || at != nil || at == nil",
	}}},
	{"statistics of the shadow stay", []Edit{{
		File: "internal/reshape/swap.go",
		Old:  "if err == nil && there > 0 {\n\t\t\t_, err = q.ExecContext(ctx, \"DELETE FROM main.\"+table",
		New:  "if err == nil && there > 9 {\n\t\t\t_, err = q.ExecContext(ctx, \"DELETE FROM main.\"+table",
	}}},
	{"the numbers of AUTOINCREMENT begin again", []Edit{{
		File: "internal/reshape/swap.go",
		Old:  "if err == nil && latest > 0 && s.table.autoincrement() {",
		New:  "if err == nil && latest < 0 && s.table.autoincrement() {",
	}}},
}
