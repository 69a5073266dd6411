// Package chunkfill is the front page of a library that rewrites large tables inside a live
// SQLite database, a small primary-key range at a time, while the application keeps writing
// through its one connection. It declares what every part of the library speaks: [Status],
// the records behind it, and the errors that any engine returns.
//
// # When
//
// Use it in a service that owns one SQLite file, opens it with SetMaxOpenConns(1) in WAL
// mode, writes all day, and has a table of a million rows or more to backfill, purge or
// rebuild. One UPDATE over such a table holds the only connection until it is through. For
// a table that one UPDATE rewrites within a few milliseconds there is nothing to gain.
//
// # Basics
//
// A host imports three packages:
//
//   - jobs says what becomes of a row: jobs.Update, jobs.Transform and jobs.Delete;
//   - engine runs it: engine.New once at boot, Start for each job, Close before the database
//     is closed;
//   - chunkfill, this one, has the types and errors that both speak.
//
// A job has a name, under which its state is kept in the database itself. The call to Start
// stays in the code: a job that is done is not run again, one that was interrupted or killed
// goes on from its last batch. Rows and place commit in one transaction, so that each row is
// rewritten exactly once.
//
// Start returns at once. Await waits for a job and Status says how it stands, whoever runs
// it: this process or another. Pause, Resume, Tune and Cancel reach it there as well. The
// errors that they return are the variables below, to be matched with [errors.Is]; the
// documentation of each says what to do.
//
//	err := eng.Start(ctx, job)
//	if errors.Is(err, chunkfill.ErrCancelled) {
//		err = nil // an operator has decided so: boot without it
//	}
//
// Rows that fail are put into quarantine, and the job goes on. Status lists them, and Retry
// does them once they are fixed.
//
// Package engine/enginetest runs a job in a test of the application, and package asyncmig is
// the ledger beneath, for hosts with migrations that are no such job. The command
// cmd/chunkfill does all of this from outside.
//
// # Caveats
//
//   - WAL mode, and a database/sql handle of the driver modernc.org/sqlite. One file on one
//     host: network file systems will not do.
//   - A table needs a PRIMARY KEY, or a UNIQUE index over NOT NULL columns, which the job
//     does not change.
//   - Rows that are written behind the cursor while a job runs are found only if the job has
//     a Todo; new code that writes rows in their new form needs none.
//   - Expressions and conditions are SQL as written: do not build them from untrusted text.
//   - Set engine.Config.SoleProcess if no other process writes to the file: without it a job
//     takes about twice as long.
//
// README lists the limits, DESIGN says how it works.
package chunkfill
