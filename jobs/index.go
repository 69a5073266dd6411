package jobs

// Index makes an index on a live table, without the stall of a plain CREATE INDEX, which holds the
// writer for as long as it reads the whole table.
//
// It is a [Rebuild] of the table with one index more, unless Twin is set. Where a plain CREATE INDEX takes
// no longer than live writes can wait, that is the better way.
type Index struct {
	Name, Table string
	Create      string // CREATE INDEX, or CREATE UNIQUE INDEX

	// Twin builds the index beside the table, in the order of its entries, and then makes it one
	// of the table by a change of its row in sqlite_schema: a fraction of the work. It is
	// experimental, and for tables with an INTEGER PRIMARY KEY. Until it is done, PRAGMA integrity_check reports the
	// index that is being built, and REINDEX undoes what has been built.
	Twin bool

	// Queries are those that the index is for. A dry run, and the start of the job, show their plans as they
	// are and as they will be, and say which of them will not use it.
	Queries []string

	// HoldSwap has the job wait before its last step that others see, the swap, until Engine.Swap or
	// `chunkfill swap` asks for it: all is copied and compared, and kept up to date meanwhile. With
	// SwapWindow, such as "Sun 02:00-04:00 Europe/Berlin", it also goes on by itself while that
	// is open. Both may be changed from one run of the job to the next.
	HoldSwap   bool
	SwapWindow string
}

// KindIndex is the Kind of an [Index].
const KindIndex Kind = "index"

// Spec implements [Job].
func (i Index) Spec() Spec {
	return Spec{Kind: KindIndex, Name: i.Name, Table: i.Table, Schema: i.Create, Twin: i.Twin,
		Queries: i.Queries, HoldSwap: i.HoldSwap, SwapWindow: i.SwapWindow}
}
