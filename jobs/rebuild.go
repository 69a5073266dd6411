package jobs

// Rebuild gives a live table another shape: other types, constraints, keys, defaults, another order of
// columns. It copies the rows into a table of the new shape, a small range at a time, brings over what live
// writes change meanwhile, compares each row, and then lets the two tables change places in one
// short transaction. The rows of the old table are deleted in small batches afterwards.
//
// Columns of the same name keep their values, to the type and the byte: a row whose value the new
// type would change fails, unless Set says how it is to be converted. A row that breaks a
// constraint of the new shape goes into quarantine, and the tables do not change places; live
// writes never fail because of it.
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
		HoldSwap: r.HoldSwap, SwapWindow: r.SwapWindow}
}
