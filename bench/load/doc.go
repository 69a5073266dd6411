// Package load is the application during a rewrite: it inserts observations at a
// steady rate and measures what each insert feels.
//
// The load is open-loop. Insert n is due at a fixed time, whether or not the
// ones before it are through, and its latency counts from then: an ingester that
// was held up for a second feels it in every insert of that second, not in one.
// One goroutine inserts one row after another, like the ingester of a service
// that owns one connection.
package load
