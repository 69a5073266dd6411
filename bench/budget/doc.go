// Package budget rehearses a migration on a copy of a real database and says whether it
// stays within a time budget, before a deploy has to find out. Call [Rehearse].
//
// The original file is only read. A rehearsal runs the whole job or, where that would take
// too long, ranges spread over the table; in that case it also says how certain its
// prediction is. The copy is always of the whole file: indexes smaller than the real ones
// would fit the cache and flatter the result.
package budget
