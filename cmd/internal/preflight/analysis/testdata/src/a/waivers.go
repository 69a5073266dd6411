package a

import "database/sql"

type scheduler struct{}

func (scheduler) RunAsyncMigration(name string, fn func(*sql.DB) error) {}
func (scheduler) Do(fn func())                                          {}

func waivers(db *sql.DB, store, later, other scheduler) {
	store.RunAsyncMigration("n", func(db *sql.DB) error {
		_, err := db.Exec("UPDATE t SET a = 1")
		return err
	})
	store.RunAsyncMigration("m", build)
	later.Do(func() { db.Exec("UPDATE t SET a = 1") })
	other.Do(func() { db.Exec("UPDATE t SET a = 1") }) // want `PF105 .*`

	// PREFLIGHT: async=true reason="the table has one row for each household"
	db.Exec("UPDATE t SET a = 1")

	/* want `PF201 annotation-malformed: .*` */ // PREFLIGHT: async=maybe reason="the table has one row for each household"

	/* want `PF202 annotation-reason: .*` */ // PREFLIGHT: async=true reason="fine"

	/* want `PF203 annotation-unused: .*` */ // PREFLIGHT: async=true reason="the table has one row for each household"
}
