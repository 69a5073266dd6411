// Package archive moves rows into another file: it copies them there and makes that durable,
// before the engine deletes them from the database in its own batches.
//
// The copy is made on a connection of its own, which can only read the database. A chunk of rows
// is copied in one transaction, with a note of the key of each. The database's record of the job counts
// the rows that were deleted, in the transaction that deletes them, and rows are deleted in the
// order of the notes: so after a crash that count tells which of the noted rows are gone from the
// database. The others are taken out of the archive again, and copied as they are by then.
package archive
