package a

import "database/sql"

// build is handed to RunAsyncMigration in another file.
func build(db *sql.DB) error {
	_, err := db.Exec("CREATE INDEX i ON t (a)")
	return err
}
