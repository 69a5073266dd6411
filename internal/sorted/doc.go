// Package sorted builds an index of a live table in the order of its entries.
//
// # Method
//
// Rows that are copied in the order of the table put their entries all over an index: nearly each of them
// dirties a page of its own, which goes through the write-ahead log. CREATE INDEX sorts first, and
// then writes each page once, but it does all that in one transaction. Here the sorting is done on a
// connection that only reads the database, in a temporary table of its own, which is filled by short reads;
// the entries then come in the order of the index, and batches of any size write its pages one
// after the other.
//
// SQLite makes entries of an index only for rows of its table. The index is therefore made on a small table that
// has one column for each term of the index, and as rowid that of the row that the entry is of. From time to
// time this table changes its b-tree for that of an empty one, in sqlite_schema, and the rows that
// it had are deleted at once from there. The index keeps its entries, and the table stays as small as a few
// batches. In the end the index is made one of the table that it is for.
//
// Until then the index has more entries than its table has rows: PRAGMA integrity_check says so,
// and REINDEX loses them. One entry that is of no row tells, in the end, that this has not happened.
package sorted
