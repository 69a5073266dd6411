// Package load simulates the application during a rewrite: it inserts observations at a
// steady rate and measures the latency of each insert. Call [Start].
//
// The load is open-loop. Insert n is due at a fixed time, whether or not the ones before it
// have finished, and its latency counts from then: an ingester that is blocked for a second
// notices it in every insert of that second, not in just one. One goroutine inserts one row
// after another, like the ingester of a service that owns one connection.
package load
