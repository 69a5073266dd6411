// Package undo is `chunkfill undo`.
package undo

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/ask"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

type undoFlags struct {
	db          string
	list        string
	yes, asJSON bool
	foreignKeys bool
	maxRate     float64
}

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var f undoFlags
	cmd := &cobra.Command{
		Use:   "undo --db FILE NAME",
		Short: "Put back the rows that a job with --keep-before has changed",
		Long: `Puts the rows of a job back to what they were before it, in batches, as a job of its
own (undo:NAME), while others write. A row is put back if its key is the same, what the
job wrote still stands in it and none of its other columns was written since, compared
by type and bytes. All others stay as they are: their number is printed by reason, and
their keys go to a file, one line each (key, reason, what the database said).

The job is then undone: only a retry runs it again, from its first row. After Ctrl-C or
a kill the same command continues where it stopped; after its end it tries those rows
again that are left. Triggers of the table fire. It asks before it begins; a script says
--yes. Refused are a job that is running, one without images, one whose columns another
job with images has written since, and one whose table is declared otherwise now.`,
		Example: `  chunkfill undo --db app.db users_lower_v1
  chunkfill undo --db app.db users_lower_v1 --yes --list left.csv`,
		Args: flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return undo(cmd, f, args[0]) },
	}
	flags.Database(cmd, &f.db)
	cmd.ValidArgsFunction = database.CompleteJob(&f.db, 1)
	set := cmd.Flags()
	set.StringVar(&f.list, "list", "", "file for the rows that are not put back; it must not exist (default NAME-not-undone.csv in this folder)")
	set.BoolVar(&f.yes, "yes", false, "do not ask")
	set.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	set.BoolVar(&f.foreignKeys, "foreign-keys", true, "enforce foreign keys and their actions; =false if the application does not")
	set.Float64Var(&f.maxRate, "max-rate", 0, "at most this many rows per second (default no cap)")
	return cmd
}

func undo(cmd *cobra.Command, f undoFlags, name string) error {
	if f.maxRate < 0 {
		return exit.Usagef("--max-rate %v is not a positive number of rows per second", f.maxRate)
	}
	if f.list == "" {
		f.list = fileName(name) + "-not-undone.csv"
	}
	if _, err := os.Lstat(f.list); !errors.Is(err, fs.ErrNotExist) {
		return exit.Usagef("the file %s exists already, and is kept: move it, or name another one with --list", f.list)
	}

	db, err := database.Open(cmd.Context(), f.db, "rw", fmt.Sprintf("foreign_keys(%t)", f.foreignKeys))
	if err != nil {
		return err
	}
	defer db.Close()
	show := output.NewProgress(cmd.ErrOrStderr())
	eng, err := database.NewEngine(db, engine.Config{Logger: show.Logger(), MaxRate: f.maxRate})
	if err != nil {
		return err
	}
	defer eng.Close()
	return run(cmd, f, eng, show, name)
}

func run(cmd *cobra.Command, f undoFlags, eng *engine.Engine, show *output.Progress, name string) error {
	status, err := eng.Status(cmd.Context(), name)
	if err != nil {
		return database.NoSuchJob(err, f.db)
	}
	if err := eng.Undoable(cmd.Context(), name); err != nil {
		return err
	}
	if !f.yes {
		question := fmt.Sprintf("Undo %s (%s)? The rows of %s that it changed are put back; only a retry runs it again.", name, status.Phase, status.Table)
		if err := ask.Confirm(cmd, question); err != nil {
			return err
		}
	}

	stop := show.Follow(func() (string, bool) {
		s, running := eng.Progress(engine.UndoName(name))
		return output.JobLine(s, ""), running
	})
	result, err := eng.Undo(cmd.Context(), name)
	stop()
	if exit.WasInterrupted(cmd.Context(), err) {
		err = exit.GoesOn
	}
	if err != nil {
		return err
	}
	return conclude(cmd, f, eng, result)
}

// conclude lists the rows that are not put back, and prints the summary.
func conclude(cmd *cobra.Command, f undoFlags, eng *engine.Engine, r engine.UndoResult) error {
	if r.NotPutBack() > 0 {
		if err := writeList(cmd, f.list, eng, r.Name); err != nil {
			return fmt.Errorf("%s is undone, and the rows that are not put back could not be listed (the same command lists them): %w", r.Name, err)
		}
	} else {
		f.list = ""
	}
	out := cmd.OutOrStdout()
	if f.asJSON {
		return output.WriteJSON(out, result{UndoResult: r, List: f.list})
	}

	fmt.Fprintf(out, "%s: undone; %d rows put back, %d not\n", output.Visible(r.Name), r.PutBack, r.NotPutBack())
	for _, reason := range r.NotBack {
		if reason.Rows > 0 {
			fmt.Fprintf(out, "  %d: %s\n", reason.Rows, reason.Words)
		}
	}
	if len(r.Triggers) > 0 {
		fmt.Fprintf(out, "triggers of the table that may have fired: %s\n", output.Visible(strings.Join(r.Triggers, ", ")))
	}
	if f.list != "" {
		fmt.Fprintf(out, "listed in %s\n", output.Visible(f.list))
	}
	return nil
}

// writeList writes the rows that are not put back to a new file.
func writeList(cmd *cobra.Command, path string, eng *engine.Engine, name string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return writeRows(file, func(fn func(engine.NotPutBack) error) error { return eng.NotPutBack(cmd.Context(), name, fn) })
}

func writeRows(out io.Writer, each func(func(engine.NotPutBack) error) error) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"key", "reason", "error"}); err != nil {
		return err
	}
	if err := each(func(n engine.NotPutBack) error { return w.Write([]string{n.Key, n.Reason, n.Error}) }); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// fileName is a job's name as part of the name of a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' || r < ' ' {
			return '_'
		}
		return r
	}, name)
}
