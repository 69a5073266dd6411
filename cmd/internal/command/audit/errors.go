package audit

import (
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// shownRows is how many rows are listed for people: enough to see what is wrong with them,
// few enough not to bury the summary above.
const shownRows = 10

func errorsCommand() *cobra.Command {
	var path string
	var all, asJSON, asCSV bool
	cmd := &cobra.Command{
		Use:   "errors --db FILE NAME [--all | --csv | --json]",
		Short: "Show the rows on which a job failed",
		Long: fmt.Sprintf(`Shows the rows that a job has in quarantine: first how many there are of each kind of
error, then the first %d of them, each with its key, the error of the latest attempt and
the number of attempts. Errors that differ in numbers and quoted texts alone are of one
kind. --all lists all rows; --csv and --json print them for another program. It reads
only, over a read-only connection, as status does.`, shownRows),
		Example: "  chunkfill errors --db app.db users_lower_v1\n  chunkfill errors --db app.db users_lower_v1 --csv > bad-rows.csv",
		Args:    flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && asCSV {
				return exit.Usagef("--json and --csv exclude each other")
			}
			return withJob(cmd, path, args[0], func(_ context.Context, _ *sql.DB, s chunkfill.Status) error {
				out := cmd.OutOrStdout()
				switch {
				case asJSON:
					return output.WriteJSON(out, badRows{s.Name, s.Table, kindsOf(s.Quarantine), s.Quarantine})
				case asCSV:
					return writeCSV(out, s.Quarantine)
				}
				return writeErrors(out, s, all)
			})
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 1)
	cmd.Flags().BoolVar(&all, "all", false, "list all rows")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print all rows as CSV, with a header")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all rows as JSON")
	return cmd
}

// badRows is the quarantine in JSON.
type badRows struct {
	Name  string             `json:"name"`
	Table string             `json:"table"`
	Kinds []kind             `json:"kinds"`
	Rows  []chunkfill.BadRow `json:"rows"`
}

func writeErrors(out io.Writer, s chunkfill.Status, all bool) error {
	rows := s.Quarantine
	if len(rows) == 0 {
		fmt.Fprintf(out, "%s has no rows in quarantine\n", output.Visible(s.Name))
		return nil
	}

	kinds := kindsOf(rows)
	fmt.Fprintf(out, "%s has %s of table %s in quarantine, with %s:\n",
		output.Seen(s.Name, count(len(rows), "row"), s.Table, count(len(kinds), "kind")+" of error")...)
	for _, k := range kinds {
		fmt.Fprintf(out, "%7d  %s\n", k.Rows, output.Visible(k.Error))
	}
	fmt.Fprintln(out)

	shown := rows
	if !all {
		shown = rows[:min(len(rows), shownRows)]
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "step\tkey\tattempts\terror")
	for _, r := range shown {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", output.Seen(r.Step, r.Key, r.Attempts, r.Error)...)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	if more := len(rows) - len(shown); more > 0 {
		fmt.Fprintf(out, "and %d more, which --all lists\n", more)
	}
	fmt.Fprintln(out, "fix these rows, then run the same command with --retry")
	return nil
}

// count is a number of things, such as "1 row" and "2 rows".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func writeCSV(out io.Writer, rows []chunkfill.BadRow) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"step", "key", "error", "attempts", "at"}); err != nil {
		return err
	}
	for _, r := range rows {
		err := w.Write([]string{r.Step, r.Key, r.Error, strconv.Itoa(r.Attempts), r.At.UTC().Format(time.RFC3339Nano)})
		if err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
