package jobs

// Rebuild gives a live table another shape: other types, constraints, keys, defaults, another order of
// columns. It copies the rows into a table of the new shape, a small range at a time, brings over what live
// writes change meanwhile, compares each row, and then lets the two tables change places in one
// short transaction. The rows of the old table are deleted in small batches afterwards.
//
// Columns of the same name keep their values, to the type and the byte: a row whose value the new
// type would change fails, unless Set says how it is to be converted. Rows that break the new shape are counted
// before anything is made, and keep the job from starting. One that is written later goes into quarantine, and the
// tables do not change places; live writes never fail because of it.
//
// Rows are found by the PRIMARY KEY while they are copied, or by another UNIQUE over columns that are NOT
// NULL; one of them has to stay, with its type and its values.
//
// Indexes, triggers, views and foreign keys of other tables stay.
type Rebuild struct {
	Name, Table string

	// Schema is the CREATE TABLE of the new shape, under the name of the table, and, each after a
	// semicolon, a CREATE INDEX for each index that is to be added or to be another one.
	Schema string
	// Set are the columns whose new value is not that of the column of the same name: an expression
	// over the row of the old table.
	Set []Assign
	// KeepOld leaves the old table, with its rows, under the name "_chunkfill_old_" and its own.
	KeepOld bool
	// Queries are some of the application's, whose plans a dry run shows as they are and as they will be.
	Queries []string

	// HoldSwap has the job wait before its last step that others see, the swap, until Engine.Swap or
	// `chunkfill swap` asks for it: all is copied and compared, and kept up to date meanwhile. With
	// SwapWindow, such as "Sun 02:00-04:00 Europe/Berlin", it also goes on by itself while that
	// is open. Both may be changed from one run of the job to the next.
	HoldSwap   bool
	SwapWindow string
}

// KindRebuild is the Kind of a [Rebuild].
const KindRebuild Kind = "rebuild"

// Spec implements [Job].
func (r Rebuild) Spec() Spec {
	return Spec{Kind: KindRebuild, Name: r.Name, Table: r.Table, Set: r.Set, Schema: r.Schema, KeepOld: r.KeepOld,
		Queries: r.Queries, HoldSwap: r.HoldSwap, SwapWindow: r.SwapWindow}
}
