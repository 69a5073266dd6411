// Package loop runs a job: it takes it from step to step, lets it through the gate,
// asks for one batch after the other, paces them, searches for rows that fail, and
// records each change of state.
//
// It knows no database. What it asks of one is [Database]: package engine has that of
// SQLite, looptest one in memory, and both pass the same conformance tests. Everything
// that spins, makes system calls or reads SQL is on that side. The loop owns no clock
// but package time, and sleeps in pieces, after each of which it reads what is asked of
// the job.
//
// A run is two parts that share one record. The conductor ([Loop.Run], conduct.go)
// decides which step comes next, by [Next]; the worker (walk.go) takes the batches of
// one walk. The gate (gate.go) stands before each batch, and record.go alone writes the
// record.
package loop
