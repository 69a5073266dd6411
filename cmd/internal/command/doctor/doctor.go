// Package doctor is `chunkfill doctor`.
package doctor

import (
	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
)

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var path string
	var down, yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor --db FILE [--json | --downgrade [--yes]]",
		Short: "Show what is wrong with a database or its jobs, and bring its tables back to an older version",
		Long: `Shows what there is to know of a database and its jobs, with a line of advice where
something is wrong: the file and the files beside it, the version of SQLite and its
known bugs, the settings that are stored in the file, the write-ahead log and who reads
in it, free space, who runs each job, requests that nobody has honored, and tables of
ours that no job needs. It reads only, and takes up to a second.

Who has a lock is asked of the kernel (/proc/locks, on Linux alone); what cannot be told
is "unknown". With --json it prints an object whose "checks" have each a name, a subject
(the job or file that it is about, or null), a status (ok, warn or unknown), a text, and
an advice or null.

Exit status: 0 also where something is wrong; 1 if the database cannot be examined.

With --downgrade it brings the tables back to version 1, for a deploy that is rolled
back to a version of chunkfill from before. It does so in one transaction, and asks
before it does unless --yes is given. It refuses while anybody runs a job (exit
status 5), and where a job has steps that version 1 does not know. The next run of
a job with this version brings the tables up to date again.`,
		Example: "  chunkfill doctor --db app.db\n  chunkfill doctor --db app.db --json\n  chunkfill doctor --db app.db --downgrade --yes",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if down && asJSON {
				return exit.Usagef("--json and --downgrade exclude each other")
			}
			if down {
				return downgrade(cmd, path, yes)
			}
			if yes {
				return exit.Usagef("--yes goes with --downgrade alone")
			}
			return examine(cmd, path, asJSON)
		},
	}
	flags.Database(cmd, &path)
	cmd.Flags().BoolVar(&down, "downgrade", false, "bring the tables back to version 1")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the checks as JSON")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
