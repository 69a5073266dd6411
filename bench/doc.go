// Package bench measures what a rewrite of a large table costs and what the live
// writes of the application feel of it, for chunkfill and for what people do
// without it.
//
// Every trial works on a fresh copy of one generated file, contenders take turns
// within a round, and rounds are repeated: a machine that slows down for a while
// slows all of them. What the live load feels without any rewrite is measured in
// the same trial. Run returns Results; package report draws them, Compare tells two
// of them apart, package budget rehearses a migration on a copy of a real
// database.
package bench
