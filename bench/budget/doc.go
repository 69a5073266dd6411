// Package budget rehearses a migration on a copy of a real database and says
// whether it stays inside a time budget, before a deploy has to find out.
//
// The original file is only read. A rehearsal runs the whole job, or, where that
// would take too long, on stretches spread over the table; then it says how sure
// its prediction is. Either way the copy is of the whole file: indexes that are
// smaller than the real ones would fit the cache and flatter the result.
package budget
