// Package bench measures what a rewrite of a large table costs, and how it affects the live
// writes of the application, for chunkfill and for the usual alternatives.
//
// Every trial works on a fresh copy of one generated file, contenders take turns within a
// round, and rounds are repeated: a machine that slows down for a while slows all of them.
// The live load without any rewrite is measured in the same trial. [Run] returns [Results];
// package report draws them, [Compare] compares two of them, package budget rehearses a
// migration on a copy of a real database.
package bench
