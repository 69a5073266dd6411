package audit

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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
	var f errorsFlags
	cmd := &cobra.Command{
		Use:   "errors --db FILE NAME [--all | --csv | --json] [--output FILE]",
		Short: "Show the rows on which a job failed",
		Long: fmt.Sprintf(`Shows the rows that a job has in quarantine: first how many there are of each kind of
error, then the first %d of them, each with its key, the error of the latest attempt and
the number of attempts. Errors that differ in numbers and quoted texts alone are of one
kind. --all lists all rows; --csv and --json print them for another program, or write
them to a new file with --output, and then the summary is printed alone. It reads only,
over a read-only connection, as status does.`, shownRows),
		Example: "  chunkfill errors --db app.db users_lower_v1\n  chunkfill errors --db app.db users_lower_v1 --csv --output bad-rows.csv",
		Args:    flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return withJob(cmd, path, args[0], func(_ context.Context, _ *sql.DB, s chunkfill.Status) error {
				return f.show(cmd.OutOrStdout(), s)
			})
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 1)
	cmd.Flags().BoolVar(&f.all, "all", false, "list all rows")
	cmd.Flags().BoolVar(&f.csv, "csv", false, "print all rows as CSV, with a header")
	cmd.Flags().BoolVar(&f.json, "json", false, "print all rows as JSON")
	cmd.Flags().StringVar(&f.output, "output", "", "with --csv or --json: write the rows to this new file, and print the summary")
	return cmd
}

type errorsFlags struct {
	all, csv, json bool
	output         string
}

func (f errorsFlags) check() error {
	switch {
	case f.csv && f.json:
		return exit.Usagef("--json and --csv exclude each other")
	case f.output != "" && !f.csv && !f.json:
		return exit.Usagef("--output goes with --csv or --json, which say in what form the rows are written")
	case f.output != "" && f.all:
		return exit.Usagef("--output and --all exclude each other: the file has all rows")
	}
	return nil
}

// show prints the rows as it was asked for.
func (f errorsFlags) show(out io.Writer, s chunkfill.Status) error {
	switch {
	case f.output != "":
		return f.save(out, s)
	case f.csv || f.json:
		return f.export(out, s)
	case len(s.Quarantine) == 0:
		writeSummary(out, s)
		return nil
	}
	writeSummary(out, s)
	fmt.Fprintln(out)
	return writeRows(out, s.Quarantine, f.all)
}

// export writes all rows for another program.
func (f errorsFlags) export(out io.Writer, s chunkfill.Status) error {
	if f.json {
		return output.WriteJSON(out, badRows{s.Name, s.Table, kindsOf(s.Quarantine), s.Quarantine})
	}
	return writeCSV(out, s.Quarantine)
}

// save writes the rows to a file and says so. It makes a new one: what is there already may
// be anything, the database among it.
func (f errorsFlags) save(out io.Writer, s chunkfill.Status) error {
	file, err := os.OpenFile(f.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return exit.Usagef("there is a file %s already: name another one, or remove it", f.output)
	}
	if err != nil {
		return exit.Usagef("write the rows: %w", err)
	}
	if err := errors.Join(f.export(file, s), file.Close()); err != nil {
		return fmt.Errorf("write the rows: %w", errors.Join(err, os.Remove(f.output)))
	}

	writeSummary(out, s)
	fmt.Fprintf(out, "%s written to %s\n", count(len(s.Quarantine), "row"), output.Visible(f.output))
	return nil
}

// badRows is the quarantine in JSON.
type badRows struct {
	Name  string             `json:"name"`
	Table string             `json:"table"`
	Kinds []kind             `json:"kinds"`
	Rows  []chunkfill.BadRow `json:"rows"`
}

// writeSummary says how many rows there are of each kind of error.
func writeSummary(out io.Writer, s chunkfill.Status) {
	rows := s.Quarantine
	if len(rows) == 0 {
		fmt.Fprintf(out, "%s has no rows in quarantine\n", output.Visible(s.Name))
		return
	}

	kinds := kindsOf(rows)
	fmt.Fprintf(out, "%s has %s of table %s in quarantine, with %s:\n",
		output.Seen(s.Name, count(len(rows), "row"), s.Table, count(len(kinds), "kind")+" of error")...)
	for _, k := range kinds {
		fmt.Fprintf(out, "%7d  %s\n", k.Rows, output.Visible(k.Error))
	}
}

// writeRows lists the first rows, or all.
func writeRows(out io.Writer, rows []chunkfill.BadRow, all bool) error {
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
