package audit

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

func historyCommand() *cobra.Command {
	var path string
	var last int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history --db FILE NAME [-n COUNT]",
		Short: "Show the audit trail of a job",
		Long: fmt.Sprintf(`Shows what has happened to a job, oldest first: when, what, who did it or asked for
it, and the reason that was given. The latest %d events of a job are kept. It reads
only, over a read-only connection, as status does.`, checkpoint.MaxEvents),
		Example: "  chunkfill history --db app.db users_lower_v1 -n 20",
		Args:    flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 1 {
				return exit.Usagef("-n %d is not a positive number of events", last)
			}
			return withJob(cmd, path, args[0], func(ctx context.Context, db *sql.DB, s chunkfill.Status) error {
				events, err := readEvents(ctx, db, s.Name, last)
				if err != nil {
					return err
				}
				if asJSON {
					return output.WriteJSON(cmd.OutOrStdout(), newHistory(s.Name, events))
				}
				return writeEvents(cmd.OutOrStdout(), events)
			})
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 1)
	cmd.Flags().IntVarP(&last, "last", "n", checkpoint.MaxEvents, "show only so many events, the latest")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// readEvents returns the latest events of a job, also of one that only the ledger knows.
func readEvents(ctx context.Context, db *sql.DB, name string, last int) ([]chunkfill.Event, error) {
	version, err := checkpoint.Version(ctx, db)
	if err != nil || version == 0 {
		return nil, err
	}
	return checkpoint.Events(ctx, db, name, last)
}

// history is the audit trail in JSON, with all keys of each event.
type history struct {
	Name   string         `json:"name"`
	Events []historyEvent `json:"events"`
}

type historyEvent struct {
	At     time.Time `json:"at"`
	Event  string    `json:"event"`
	By     string    `json:"by"`
	Detail string    `json:"detail"`
}

func newHistory(name string, events []chunkfill.Event) history {
	h := history{Name: name, Events: make([]historyEvent, len(events))}
	for i, e := range events {
		h.Events[i] = historyEvent(e)
	}
	return h
}

func writeEvents(out io.Writer, events []chunkfill.Event) error {
	if len(events) == 0 {
		fmt.Fprintln(out, "nothing is recorded of this job")
		return nil
	}

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "time\tevent\tby\tdetail")
	for _, e := range events {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", output.Seen(e.At.UTC().Format(time.RFC3339), e.Event, e.By, e.Detail)...)
	}
	return w.Flush()
}
