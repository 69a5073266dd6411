// Package pace keeps how far a walk was after how much work, beside the record of the job,
// and tells how much longer the job works.
//
//   - [Forecast]: how much longer, from the points that are stored with a record.
//   - [Keeper]: the points of the walk that a run is at.
//
// The forecast itself is package eta's; this one owns what it is made from. Whoever reads the
// database has the same points as the run itself, and so says the same: both go by the latest
// point that is stored, at most one a second. Only where nothing has been stored for
// two seconds and more does the time that has been worked since count, in whole seconds.
//
// # How many rows there are
//
// A walk by a key without arithmetic has had its rows counted. They are counted again from
// time to time, since rows come in all over the keys, or go.
//
// A walk by rowid has not. When it begins, probes of a few rows each tell how dense the rows are
// in the keys that are left, at 64 places and, where they stand in heaps, at more; what is passed is known. Rows that come in get
// greater ids, beyond the end of the walk.
package pace
