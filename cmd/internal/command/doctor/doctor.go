// Package doctor is `chunkfill doctor`.
package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var path string
	var down, yes bool
	cmd := &cobra.Command{
		Use:   "doctor --db FILE [--downgrade [--yes]]",
		Short: "Show what is wrong with a database or its jobs, and bring its tables back to an older version",
		Long: `Shows the database file, the version of the tables in which jobs are recorded, and
whether somebody runs each job, with a line of advice where something is wrong. It
reads only.

With --downgrade it brings the tables back to version 1, for a deploy that is rolled
back to a version of chunkfill from before. It does so in one transaction, and asks
before it does unless --yes is given. It refuses while anybody runs a job (exit
status 5), and where a job has steps that version 1 does not know. The next run of
a job with this version brings the tables up to date again.`,
		Example: "  chunkfill doctor --db app.db\n  chunkfill doctor --db app.db --downgrade --yes",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if down {
				return downgrade(cmd, path, yes)
			}
			if yes {
				return exit.Usagef("--yes goes with --downgrade alone")
			}
			return examine(cmd, path)
		},
	}
	flags.Database(cmd, &path)
	cmd.Flags().BoolVar(&down, "downgrade", false, "bring the tables back to version 1")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// examine prints what there is, and advice.
func examine(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	db, err := database.Open(ctx, path, "ro")
	if err != nil {
		return err
	}
	defer db.Close()

	var advice []string
	advise := func(format string, args ...any) {
		advice = append(advice, fmt.Sprintf(format, output.Seen(args...)...))
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, label+"\t"+format+"\n", output.Seen(args...)...)
	}

	err = aboutFile(ctx, db, path, line, advise)
	if err == nil {
		err = aboutJobs(ctx, db, path, line, advise)
	}
	w.Flush()
	if err != nil {
		return err
	}
	writeAdvice(cmd.OutOrStdout(), advice)
	return nil
}

// say prints a line, or advice, as fmt.Printf would.
type (
	sayLine   = func(label, format string, args ...any)
	sayAdvice = func(format string, args ...any)
)

// aboutFile is about the database as a whole.
func aboutFile(ctx context.Context, db *sql.DB, path string, line sayLine, advise sayAdvice) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("locate %s: %w", path, err)
	}
	line("database", "%s", abs)
	if err := asyncmig.NewStore(db, asyncmig.Config{}).CheckFile(ctx); err != nil {
		advise("%v", err)
	}

	version, err := checkpoint.Version(ctx, db)
	switch {
	case err != nil:
		return err
	case version == 0:
		line("tables", "none: no job has run on this database")
	default:
		line("tables", "version %d", version)
	}
	if version != 0 && version < checkpoint.CurrentVersion {
		advise("the next run of a job brings the tables to version %d, and an older chunkfill refuses them from then on; "+
			"`chunkfill doctor --db %s --downgrade` is the way back", checkpoint.CurrentVersion, path)
	}

	var lib, mode string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&lib); err != nil {
		return fmt.Errorf("read the version of SQLite: %w", err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA main.journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("read the journal mode: %w", err)
	}
	line("SQLite", "%s, in this command", lib)
	line("journal", "%s", mode)
	if mode != "wal" {
		advise("no job can run without a write-ahead log: set `PRAGMA journal_mode = wal` on the database")
	}
	return nil
}

// aboutJobs is about each of them.
func aboutJobs(ctx context.Context, db *sql.DB, path string, line sayLine, advise sayAdvice) error {
	statuses, err := engine.ReadStatuses(ctx, db)
	if errors.Is(err, engine.ErrUnreadable) {
		advise("%v; until then the jobs cannot be listed, but those that can be read can be run", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range statuses {
		owner, owned, err := engine.Owner(ctx, db, s.Name)
		switch {
		case err != nil:
			owner = "unknown: " + err.Error()
		case !owned:
			owner = "nobody"
		}
		line("job", "%s: %s, run by %s", s.Name, s.Phase, owner)
		if err == nil {
			aboutJob(s, owned, path, advise)
		}
	}
	return nil
}

// aboutJob says what is to be done about a job.
func aboutJob(s engine.Status, owned bool, path string, advise sayAdvice) {
	switch s.Phase {
	case checkpoint.Running, checkpoint.Verifying, checkpoint.Reverting, checkpoint.Paused, checkpoint.Waiting:
		if !owned {
			advise("%s is %s, but nobody runs it: start it again, and it goes on where it stopped", s.Name, s.Phase)
		}
	case checkpoint.Interrupted:
		if !owned {
			advise("%s has stopped before its end: start it again, and it goes on there", s.Name)
		}
	case checkpoint.Failed:
		advise("%s has failed (%s): start it again once that is mended", s.Name, s.Error)
	case checkpoint.Done:
		if s.Ledger != asyncmig.StatusDone && !owned {
			advise("%s is done, but the ledger says %q: start it once more, and it says so without running", s.Name, s.Ledger)
		}
	}
	if len(s.Quarantine) > 0 {
		advise("%s has rows in quarantine (%d), which `chunkfill errors --db %s %s` lists: mend them and run it with --retry",
			s.Name, len(s.Quarantine), path, s.Name)
	}
}

func writeAdvice(out io.Writer, advice []string) {
	fmt.Fprintln(out)
	if len(advice) == 0 {
		fmt.Fprintln(out, "nothing is wrong")
	}
	for _, a := range advice {
		fmt.Fprintln(out, "- "+a)
	}
}
