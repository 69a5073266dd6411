package jobs

// Update rewrites columns with SQL expressions, a range of rows at a time: the
// fastest shape. An expression may call any SQL function, also a Go function
// registered with the driver before the database was opened.
//
// Columns and table are quoted by chunkfill. Expressions and conditions are SQL
// as written: do not build them from untrusted text, pass values in Args.
//
// The fields are those of [Spec], which says more of each.
type Update struct {
	Name, Table string
	Set         []Assign
	Where       string // "" for every row
	Args        []any  // of the ? in Set, then in Where
	Todo        string // a condition that the job makes false; "" if it cannot tell
	Version     string // change it when a Go function behind an expression changes
	KeepBefore  bool   // keep what the rows were, for an undo
}

// Spec implements [Job].
func (u Update) Spec() Spec {
	return Spec{Kind: KindUpdate, Name: u.Name, Table: u.Table, Set: u.Set, Where: u.Where, Args: u.Args, Todo: u.Todo, Version: u.Version,
		KeepBefore: u.KeepBefore}
}

// Transform passes rows through a Go function. Rows are read and computed ahead
// of the writer, on a read-only connection and on all processors but one; the
// writer is held only to write. A row whose Read columns have changed in between is
// computed again from what it holds then.
//
// In memory, where there can be no second connection, rows are computed while the writer is
// held. The fields are those of [Spec], which says more of each.
type Transform struct {
	Name, Table string
	Read, Write []string // columns
	Where       string   // "" for every row
	Args        []any    // of the ? in Where
	Row         RowFunc
	Todo        string // a condition that the job makes false; "" if it cannot tell
	Version     string // change it when Row changes its results
	KeepBefore  bool   // keep what the rows were, for an undo
}

// Spec implements [Job].
func (t Transform) Spec() Spec {
	return Spec{Kind: KindTransform, Name: t.Name, Table: t.Table, Read: t.Read, Write: t.Write, Row: t.Row,
		Where: t.Where, Args: t.Args, Todo: t.Todo, Version: t.Version, KeepBefore: t.KeepBefore}
}

// Delete removes the rows for which Where holds. Its Todo is Where itself; rows that come
// to meet it behind the job, such as those that age, are reported as left and are no
// failure.
//
// Without a Where it removes every row there is when the job begins, and keeps those that
// come later. It tells them by their rowids, and is refused for a table WITHOUT ROWID;
// the Where "1" removes those that come, too. In a table whose INTEGER PRIMARY KEY the
// application chooses itself, rows inserted below the greatest one are taken for old.
type Delete struct {
	Name, Table string
	Where       string // "" for every row there is when the job begins
	Args        []any  // of the ? in Where; with them the job has no Todo
	KeepBefore  bool   // keep the rows, for an undo; refused where foreign keys would delete or empty others with them
}

// Spec implements [Job].
func (d Delete) Spec() Spec {
	s := Spec{Kind: KindDelete, Name: d.Name, Table: d.Table, Where: d.Where, Args: d.Args, KeepBefore: d.KeepBefore}
	if len(d.Args) == 0 {
		s.Todo = d.Where
	}
	return s
}
