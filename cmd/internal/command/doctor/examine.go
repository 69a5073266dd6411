package doctor

import (
	"context"

	"github.com/spf13/cobra"
)

// check looks at one thing. It has at least one finding.
type check struct {
	name string
	look func(context.Context, *patient) ([]finding, error)
}

// checks are all, in the order in which they are shown.
var checks = []check{
	{"database", aboutFile},
	{"tables", aboutTables},
	{"sqlite", aboutSQLite},
	{"journal_mode", aboutJournal},
	{"page_size", aboutPageSize},
	{"auto_vacuum", aboutVacuum},
	{"connection_settings", aboutConnections},
	{"processes", aboutProcesses},
	{"writer", aboutWriter},
	{"wal", aboutWAL},
	{"wal_readers", aboutReaders},
	{"free_space", aboutSpace},
	{"side_file", aboutSideFiles},
	{"schema", aboutSchema},
	{"ledger", aboutLedger},
	{"job", aboutJobs},
	{"quarantine", aboutQuarantine},
	{"request", aboutRequests},
}

// examine makes all checks and prints what they have found.
func examine(cmd *cobra.Command, path string, asJSON bool) error {
	p, err := admit(cmd.Context(), path)
	if err != nil {
		return err
	}
	defer p.db.Close()

	var all []finding
	for _, c := range checks {
		found, err := c.look(cmd.Context(), p)
		if err != nil {
			return err
		}
		for _, f := range found {
			f.Name = c.name
			all = append(all, f)
		}
	}

	if asJSON {
		return writeJSON(cmd.OutOrStdout(), p.file, all)
	}
	return writeText(cmd.OutOrStdout(), all)
}
