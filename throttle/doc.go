// Package throttle decides how much a job does in one batch and how soon it may
// do the next.
//
//   - [Sizer]: how many rows, so that a batch holds the writer for about the
//     target and no longer.
//   - [Stepper]: after how many rows a running batch looks up, to end early if a
//     live write waits.
//   - [Pacer]: how long to give way between two holds, so that neither the live
//     writes nor the job starve.
//   - [Limiter]: a cap in rows per second.
//   - [Guard]: wait while the WAL is too large or the disk too full.
//   - [Window]: the hours of the week in which a job may run.
//
// Most applications want none of it but [ParseWindow], to check a setting; the engine calls
// the rest.
//
// The package owns decisions, nothing else. It is told the time and what the
// last batch turned out to be, and it answers; it has no clock, no database, no
// goroutine, and it never sleeps. The caller measures, sleeps and gives way.
// Every size and every wait carries a [Reason].
//
// A Sizer, Stepper, Pacer or Limiter belongs to the loop that runs one job and is not
// safe for concurrent use: values that are tuned from elsewhere reach it through
// that loop. Guard and Window are plain values that nothing mutates. Nothing
// here is durable; [Sizer.Resume] seeds a size that the caller has kept.
package throttle
