package asyncmig

import (
	"errors"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/filelock"
)

// The statuses of the ledger.
const (
	StatusPendingAsync = "pending_async" // registered: it is running, or the next start runs it
	StatusDone         = "done"          // final
	StatusFailed       = "failed"        // the next start runs it again
)

// The errors of this package. Those that an engine returns as well are those of package
// chunkfill.
var (
	// ErrNilStoreDB is returned, unwrapped, by every method of a nil *Store or one without
	// a database. Create one with NewStore.
	ErrNilStoreDB = errors.New("asyncmig: the store has no database")
	// ErrKeepPending is returned by a migration function that stopped cleanly before its
	// end. The row stays pending_async; the next start continues.
	ErrKeepPending = errors.New("the migration has stopped before its end and stays pending")
	// ErrDone is returned by Run and Fail for a migration that is already done. There is
	// nothing left to do.
	ErrDone = errors.New("the migration is done already")
	// ErrOwned is returned, as an *[OwnedError], when another run owns the migration. Wait
	// for it, or leave it to that run.
	ErrOwned = chunkfill.ErrOwned
	// ErrInside is returned by RunAsyncMigration inside a migration of the same name: it
	// would wait for itself, and the outer run would report done for it. Use Run there.
	ErrInside = chunkfill.ErrInside
	// ErrClosed is returned by methods that would begin something after Close. Nothing is
	// written. Create another store.
	ErrClosed = chunkfill.ErrClosed
	// ErrMoved is returned when the name of the database file no longer leads to the open
	// file: it was moved, deleted, or replaced, for example by a backup. Anything written
	// now would be lost or damage the file of that name, so nothing is. Open the database
	// again and restart.
	ErrMoved = filelock.ErrMoved
	// ErrOtherName is returned when another process has the database file open under
	// another name, such as a hard link. Nothing is written in this case either: SQLite
	// keeps a log next to each name, and two of them destroy the database. Open it by one
	// name.
	ErrOtherName = filelock.ErrOtherName
	// ErrLedger is returned for a table _async_migrations that cannot be used; the message
	// names the column and the reason. Nothing has been changed. Change the table.
	ErrLedger = chunkfill.ErrLedger
	// ErrNotRecorded is returned when a migration ended but its status could not be written
	// to the ledger, which still says pending_async. The log has the statement that records
	// it by hand.
	ErrNotRecorded = chunkfill.ErrNotRecorded
)

// OwnedError is [chunkfill.OwnedError], which says who has a migration that another run
// wanted.
type OwnedError = chunkfill.OwnedError
