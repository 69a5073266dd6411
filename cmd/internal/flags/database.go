package flags

import (
	"os"

	"github.com/spf13/cobra"
)

// databaseVariable is the database file where --db is not given.
const databaseVariable = "CHUNKFILL_DB"

// Database adds --db, which $CHUNKFILL_DB stands in for.
func Database(cmd *cobra.Command, path *string) {
	set := cmd.Flags()
	set.StringVar(path, "db", os.Getenv(databaseVariable), "database file (default $"+databaseVariable+")")
	set.Lookup("db").DefValue = "" // help is the same for everybody
}
