// Package looptest tests implementations of [loop.Database], in the manner of
// testing/fstest, and has one in memory, on which the loop itself is tested without a
// database.
//
// [Test] is the suite: what must hold after each method, with each class of error, before
// and after it took effect. The one in memory ([DB]) passes it, and so does SQLite's, which
// package engine has; so what a test finds on the first of them holds on the second.
//
// The database in memory neither spins nor makes system calls: time passes in it by
// time.Sleep alone, and in a bubble of testing/synctest hours of it take none.
package looptest
