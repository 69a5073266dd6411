package schema

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/schemadiff"
	"github.com/chunkfill/chunkfill/jobs"
)

func diffCommand() *cobra.Command {
	var w wish
	cmd := &cobra.Command{
		Use:   "diff --db FILE --schema FILE",
		Short: "Compare a database with a schema file, and plan the way there",
		Long: `Compares the schema of a database with the CREATE statements of a file, and says
for each difference how 'chunkfill apply' would remove it: by a plain statement, by
an index or a rebuild of the table in batches beside live writes, with the time for
which it is likely to hold the writer, and to take. Nothing is written.

White space, comments, quotes and the case of names are no differences, nor is
whether a constraint stands with its column or at the end. The order of columns is.

Renames are not guessed: --rename. What would lose data is refused unless it is
named with --allow-drop, and its data is kept then: a table, and the old form of a
table that loses a column, stays as _chunkfill_old_ and its name, without triggers and
foreign keys. A value that a new type would change is refused unless --set says how it
is converted, and so are rows that the new schema does not allow: they are counted,
and some of them named. For that the table is read, in short pieces.

Tables of chunkfill, of SQLite, of virtual tables and of known tools (goose,
golang-migrate, atlas, litestream and others) are left alone; --ignore adds to them.

Exit status: 0 no difference; 1 differences, and a plan for all of them; 2 wrong
usage, or a difference that is refused.`,
		Example: `  chunkfill diff --db app.db --schema schema.sql
  chunkfill diff --db app.db --schema schema.sql --rename users.mail=email --allow-drop sessions --json`,
		Args: flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := w.planned(cmd.Context(), cmd.InOrStdin())
			if err != nil {
				return err
			}
			if err := w.print(cmd.OutOrStdout(), plan); err != nil {
				return err
			}
			if err := w.warnOfJob(cmd.Context(), cmd.ErrOrStderr()); err != nil {
				return err
			}
			return status(plan)
		},
	}
	w.register(cmd)
	cmd.Flags().BoolVar(&w.json, "json", false, "print the plan as JSON")
	return cmd
}

// warnOfJob says of an apply that has not ended that what it is making is in the way of a plan.
func (w *wish) warnOfJob(ctx context.Context, stderr io.Writer) error {
	db, err := database.Open(ctx, w.db, "ro")
	if err != nil {
		return err
	}
	defer db.Close()
	statuses, err := engine.ReadStatuses(ctx, db)
	if err != nil { // such as newer tables, which do not keep anybody from a comparison
		_ = output.Printf(stderr, "chunkfill: whether an apply is under way cannot be told: %s\n", output.Visible(err.Error()))
		return nil
	}

	for _, s := range statuses {
		if underWay(s) {
			_ = output.Printf(stderr, "%s is under way, at step %s; `chunkfill apply` with its schema goes on with it, and the plan is made without it\n",
				output.Seen(s.Name, output.Step(s.JobRecord))...)
		}
	}
	return nil
}

// underWay reports whether a job is a change of the schema that has not ended.
func underWay(s engine.Status) bool {
	_, is, _ := jobs.ParseSchema(s.Name, s.Definition)
	return is && s.Phase != checkpoint.Done && s.Phase != checkpoint.Cancelled
}

// status is how diff ends.
func status(plan *schemadiff.Plan) error {
	switch {
	case len(plan.Refused) > 0:
		return exit.Status(exit.Usage)
	case !plan.Same():
		return exit.Status(exit.Failed)
	}
	return nil
}

func (w *wish) print(out io.Writer, plan *schemadiff.Plan) error {
	if w.json {
		return output.WriteJSON(out, plan)
	}
	return printPlan(out, plan)
}

func printPlan(out io.Writer, plan *schemadiff.Plan) error {
	var b strings.Builder
	for _, c := range plan.Changes {
		fmt.Fprintf(&b, "%s (%s)\n", output.Visible(c.Name), c.Way)
		for _, why := range c.Why {
			fmt.Fprintf(&b, "  - %s\n", output.Visible(why))
		}
		for _, statement := range c.Statements {
			fmt.Fprintf(&b, "    %s;\n", indented(statement))
		}
		if c.Rebuild != "" {
			fmt.Fprintf(&b, "    %s;\n", indented(c.Rebuild))
		}
		for _, a := range c.Set {
			fmt.Fprintf(&b, "    set %s = %s\n", output.Visible(a.Column), indented(a.Expr))
		}
		for _, statement := range c.Then {
			fmt.Fprintf(&b, "    %s;\n", indented(statement))
		}
		fmt.Fprintf(&b, "  %s\n", likely(c))
		for _, note := range c.Notes {
			fmt.Fprintf(&b, "  note: %s\n", output.Visible(note))
		}
	}
	for _, r := range plan.Refused {
		fmt.Fprintf(&b, "refused: %s: %s\n", output.Visible(r.What), output.Visible(r.Why))
	}
	if plan.Same() {
		b.WriteString("no difference\n")
	}
	var names []string
	for _, a := range plan.Alone {
		if !slices.Contains(schemadiff.Obvious, a.Why) {
			names = append(names, output.Visible(a.Table))
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, "left alone: %s\n", strings.Join(names, ", "))
	}
	return output.Printf(out, "%s", b.String())
}

// likely says what a change holds and takes.
func likely(c schemadiff.Change) string {
	switch {
	case c.Way != schemadiff.Plain:
		return fmt.Sprintf("likely: in batches that hold the writer for up to %v, in all %v to %v; %d rows", c.Cost.Hold, rough(c.Cost.TakeLow), rough(c.Cost.TakeHigh), c.Cost.Rows)
	case c.Cost.Hold <= time.Millisecond:
		return "likely: holds the writer for a millisecond"
	}
	return fmt.Sprintf("likely: holds the writer for %v; %d rows", rough(c.Cost.Hold), c.Cost.Rows)
}

// rough is a time to the two first digits.
func rough(d time.Duration) time.Duration {
	unit := time.Millisecond
	for d/unit >= 100 {
		unit *= 10
	}
	return d.Round(unit)
}

// indented is a statement as it is, to be copied.
func indented(statement string) string { return strings.ReplaceAll(statement, "\n", "\n    ") }
