// Package throttle decides how much a job does in one batch and how soon it may
// do the next.
//
//   - [Sizer]: how many rows, so that a batch holds the writer for about the
//     target and no longer.
//   - [Stepper]: how many rows a running batch processes before it checks for
//     waiting live writes, for which it would end early.
//   - [Pacer]: how long to give way between two holds, so that neither the live
//     writes nor the job starve.
//   - [Limiter]: a cap in rows per second.
//   - [Guard]: wait while the WAL is too large or the disk too full.
//   - [Window]: the hours of the week in which a job may run.
//
// Most applications need only [ParseWindow], to check a setting; the engine calls
// the rest.
//
// The package only makes decisions. It is told the time and the outcome of the
// last batch, and answers; it has no clock, no database and no goroutine, and it
// never sleeps. The caller measures, sleeps and gives way. Every size and every
// wait comes with a [Reason].
//
// A Sizer, Stepper, Pacer or Limiter belongs to the loop that runs one job and is not
// safe for concurrent use: values that are tuned from elsewhere reach it through
// that loop. Guard and Window are immutable plain values. Nothing here is durable;
// [Sizer.Resume] seeds a size that the caller has stored.
package throttle
