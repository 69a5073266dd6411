//go:build go1.25

package asyncmig_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/chunkfill/chunkfill/asyncmig"
	_ "modernc.org/sqlite"
)

// settings is small; a table of millions wants a chunked job of package engine.
func lowerKeys(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "UPDATE settings SET key = lower(key) WHERE key <> lower(key)")
	return err
}

// Boot starts what is to be done, and goes on at once. The migration runs in the
// background, once; at the next boot the ledger knows that it is done.
func ExampleStore_RunAsyncMigration() {
	ctx := context.Background()
	db, remove := exampleDB()
	defer remove()
	for boot := range 2 {
		store := asyncmig.NewStore(db, asyncmig.Config{})
		err := store.RunAsyncMigration(ctx, "settings_lower_v1", func(ctx context.Context, db *sql.DB) error {
			fmt.Println("boot", boot, "runs it")
			return lowerKeys(ctx, db)
		})
		if err != nil {
			log.Fatal(err)
		}
		store.WaitForAsyncMigrations() // for the example: boot never waits
		status, err := store.AsyncMigrationStatus("settings_lower_v1")
		fmt.Println("boot", boot, status, err)
	}
	// Output:
	// boot 0 runs it
	// boot 0 done <nil>
	// boot 1 done <nil>
}

// A command that waits, and that leaves alone what is done or what a service runs.
func ExampleStore_Run() {
	ctx := context.Background()
	db, remove := exampleDB()
	defer remove()
	store := asyncmig.NewStore(db, asyncmig.Config{})
	fmt.Println(store.Run(ctx, "settings_lower_v1", lowerKeys))
	fmt.Println(store.Run(ctx, "settings_lower_v1", lowerKeys))
	// Output:
	// <nil>
	// the migration is done already
}

func exampleDB() (db *sql.DB, remove func()) {
	dir, err := os.MkdirTemp("", "asyncmig")
	if err != nil {
		log.Fatal(err)
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE settings (key TEXT, value TEXT)"); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		db.Close()
		os.RemoveAll(dir)
	}
}
