// Package chunkfill is the root of a library that rewrites large tables inside
// a live SQLite database, a small primary-key range at a time, while the
// application keeps writing through its one connection.
//
// It is for services that own one SQLite file, open it with SetMaxOpenConns(1) in
// WAL mode, write all day, and have a table of a million rows or more to backfill,
// purge or rebuild.
//
// # Basics
//
// A job says what becomes of a row: package jobs has Update, Transform and Delete.
// Package engine runs it. An application makes one engine for its database at boot,
// starts its jobs, and closes the engine before the database:
//
//	eng, err := engine.New(db, engine.Config{SoleProcess: true})
//	…
//	defer eng.Close()
//	err = eng.Start(ctx, jobs.Update{
//		Name:  "users_email_lower_v1",
//		Table: "users",
//		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
//		Where: "email <> lower(email)",
//	})
//
// The call stays in place: a job that is done is not run again, one that was
// interrupted or killed goes on from its last batch. Package engine/enginetest runs
// a job in a test of the application. Package asyncmig is the ledger beneath, for
// migrations that are no such job.
//
// # Caveats
//
// WAL mode and the driver modernc.org/sqlite only. A table needs a PRIMARY KEY, or
// a UNIQUE index over NOT NULL columns, which the job does not change. Expressions
// and conditions are SQL as written: do not build them from untrusted text. README
// lists the limits, DESIGN says how it works.
package chunkfill
