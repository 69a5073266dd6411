// Package torture tries to make chunkfill lose or repeat work: it runs a real
// program (subject) on a real file, kills it, stops it, takes its disk, its lock
// and its table away, and lets a judge that knows nothing of the engine compare
// the file with what must be in it.
//
// The judge's evidence is written by the database itself: triggers log every
// rewrite of a row in the transaction of that rewrite, so a row that is done twice
// shows, and so does one that is not done. What the program's live writes were
// told is committed stands in a journal outside the database.
//
// A harness that cannot fail proves nothing: see Planted.
package torture
