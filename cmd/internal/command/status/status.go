// Package status is `chunkfill status`.
package status

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status --db FILE [NAME…]",
		Short: "Show the state of jobs",
		Long: `Shows the state of the jobs in a database, over a read-only connection: it never
waits for the writer and never holds it. Without NAME it shows all jobs, and what is
asked of all of them: a pause, or a stop file beside the database. Of a job of
several steps it says which one stands and, while nobody works on it, what of the job
is in the schema. On a file that no process has open, SQLite leaves an empty -wal and a
-shm file behind; the next process that opens the file uses or removes them.

With --json it prints an object: "jobs" is a list of jobs, "requests" what is asked and
not carried out yet ("job" is null for all jobs), "stop_file" the stop file and its
first line, or null. Where there is nothing of that, it prints nothing on standard
output and ends with exit status 4.`,
		Example: "  chunkfill status --db app.db\n  chunkfill status --db app.db users_lower_v1 --json",
		RunE: func(cmd *cobra.Command, names []string) error {
			db, err := database.OpenToRead(cmd.Context(), path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer db.Close()

			if err := database.NeverRan(cmd.Context(), db, path); err != nil {
				return err
			}
			o, err := look(cmd.Context(), db, path, names)
			if err != nil {
				return err
			}
			if len(o.Jobs) == 0 && len(o.Requests) == 0 && o.StopFile == nil {
				return database.NoJobs(path)
			}
			if asJSON {
				return output.WriteJSON(cmd.OutOrStdout(), o)
			}
			return o.write(cmd.OutOrStdout())
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 0)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: an object with the jobs")
	return cmd
}

// readStatuses reads all jobs, or those named, in that order.
func readStatuses(ctx context.Context, db *sql.DB, path string, names []string) ([]chunkfill.Status, error) {
	all, err := engine.ReadStatuses(ctx, db)
	if len(names) > 0 && errors.Is(err, chunkfill.ErrUnreadable) { // it may be another one's record
		all, err = readNamed(ctx, db, names)
	}
	if err != nil || len(names) == 0 {
		return all, err
	}

	byName := map[string]chunkfill.Status{}
	for _, s := range all {
		byName[s.Name] = s
	}

	var picked []chunkfill.Status
	for _, name := range names {
		s, ok := byName[name]
		if !ok {
			return nil, database.NoSuchJob(fmt.Errorf("%w: %s", chunkfill.ErrUnknownJob, name), path)
		}
		picked = append(picked, s)
	}
	return picked, nil
}

func readNamed(ctx context.Context, db *sql.DB, names []string) (all []chunkfill.Status, err error) {
	for _, name := range names {
		s, err := engine.ReadStatus(ctx, db, name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// write shows what stands over all jobs, and then each.
func (o overview) write(out io.Writer) error {
	if o.StopFile != nil {
		fmt.Fprintf(out, "all jobs wait: a stop file stands beside the database: %s\n", output.Visible(*o.StopFile))
	}
	for _, r := range o.Requests {
		at := r.At.Format(time.RFC3339)
		if r.Job == nil {
			fmt.Fprintf(out, "all jobs are paused by %s since %s: %s\n", output.Seen(r.By, at, r.Reason)...)
			continue
		}
		fmt.Fprintf(out, "%s: %s asked by %s at %s: %s; nobody has begun it yet\n", output.Seen(*r.Job, r.Request, r.By, at, r.Reason)...)
	}

	above := o.StopFile != nil || len(o.Requests) > 0
	if len(o.Jobs) == 0 {
		fmt.Fprintln(out, "there is no job on this database")
	}
	for i, job := range o.Jobs {
		if i > 0 || above {
			fmt.Fprintln(out)
		}
		writeStatus(out, job)
	}
	return nil
}

func writeStatus(out io.Writer, s output.Job) {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, label+"\t"+format+"\n", output.Seen(args...)...)
	}

	line("job", "%s", s.Name)
	line("does", "%s", output.Definition(s.Definition))
	line("phase", "%s%s (ledger: %s)", s.Phase, parens(s.Reason), s.Ledger)

	if step := output.Step(s.JobRecord); step != "" {
		line("step", "%s", step)
	}
	if s.Error != "" {
		line("error", "%s", s.Error)
	}
	abandoned := gone(s)
	if standing := output.InSchema(s.JobRecord, abandoned != ""); standing != "" {
		line("schema", "%s", standing)
	}
	if s.Request.Control != "" {
		line("request", "%s%s by %s: %s", s.Request.Control, ofAll(s.Request), s.Request.By, s.Request.Reason)
	}
	if s.Request.Tuning != (chunkfill.Tuning{}) {
		line("tuned", "%s", s.Request.Words())
	}

	if progress := howFar(s); progress != "" {
		line("progress", "%s", progress)
	}

	if over := s.Phase == chunkfill.Done || s.Phase == chunkfill.Failed || s.Phase == chunkfill.Cancelled || s.Phase == chunkfill.Undone; !over {
		line("eta", "%s", output.ETA(s.Status))
	}
	if n := output.AllSteps(s.JobRecord); n > 0 {
		line("steps", "all %d, %d rows quarantined", n, s.Quarantined)
	} else {
		line("rows", "%d scanned, %d changed, %d quarantined%s", s.Rows, s.Changed, s.Quarantined, output.Left(s.Checkpoint))
		line("speed", "%s rows/s, batches of %d, writer held %v, waited %v, paused %v",
			output.Rate(s.Rate), s.BatchRows, output.Round(s.Working), output.Round(s.Throttled), output.Round(s.PausedFor))
	}
	line("owner", "%s%s", s.Owner, abandoned)
	line("updated", "%s", s.UpdatedAt.Format(time.RFC3339))

	w.Flush()
	_ = output.Print(out, table.String())
	output.WriteQuarantine(out, s.Status)
}

// howFar is how far a job is; "" where that cannot be told. A step that walks no rows has no cursor.
func howFar(s output.Job) string {
	switch {
	case s.Fraction < 0 && s.Cursor == "":
		return ""
	case s.Fraction < 0:
		return fmt.Sprintf("more rows than when it began, cursor %s of %s", s.Cursor, s.Upper)
	case s.Upper == "":
		return fmt.Sprintf("%.1f%%", 100*s.Fraction)
	}
	return fmt.Sprintf("%.1f%%, cursor %s of %s", 100*s.Fraction, s.Cursor, s.Upper)
}

// gone says of a job that seems to go on that nobody runs it.
func gone(s output.Job) string {
	switch s.Phase {
	case chunkfill.Running, chunkfill.Verifying, chunkfill.Reverting, chunkfill.Paused, chunkfill.Waiting:
	default:
		return ""
	}
	if s.OwnerAlive == nil || *s.OwnerAlive { // what is not known is not said
		return ""
	}
	return "; that process is gone and nobody runs the job: start it again to continue"
}

// ofAll says of a request that it is one of all jobs.
func ofAll(r chunkfill.Request) string {
	if r.All {
		return " of all jobs"
	}
	return ""
}

func parens(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
