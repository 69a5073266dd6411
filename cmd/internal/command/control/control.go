// Package control is the commands that ask something of a job, whoever runs it: pause,
// resume, cancel, tune, swap, retry, verify and forget.
package control

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// common are the flags of all these commands.
type common struct {
	db     string
	reason string
	asJSON bool
}

// register adds them to a command that takes the name of a job.
func (f *common) register(cmd *cobra.Command) {
	flags.Database(cmd, &f.db)
	cmd.ValidArgsFunction = database.CompleteJob(&f.db, 1)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print what was asked, and whether it has taken effect, as JSON")
}

// registerReason adds the one of those that ask somebody else.
func (f *common) registerReason(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "from the command line", "reason to record in the audit trail")
}

// operator is an engine of a command that asks something.
type operator struct {
	*engine.Engine
	common
	cmd *cobra.Command
	sql *sql.DB
}

// withEngine is for a command that asks something. What it has to wait for it says; what New
// has to say of other jobs it does not.
func withEngine(cmd *cobra.Command, f common, fn func(operator) error) error {
	db, err := database.Open(cmd.Context(), f.db, "rw")
	if err != nil {
		return err
	}
	defer db.Close()

	log := quiet{Handler: output.NewProgress(cmd.ErrOrStderr()).Logger().Handler(), speaks: new(atomic.Bool)}
	eng, err := database.NewEngine(db, engine.Config{Logger: slog.New(log)})
	if err != nil {
		return err
	}
	defer eng.Close()
	log.speaks.Store(true)

	err = database.NoSuchJob(fn(operator{eng, f, cmd, db}), f.db)
	return flags.InMessage(err)
}

// quiet is a log that says nothing before it may.
type quiet struct {
	slog.Handler
	speaks *atomic.Bool
}

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.speaks.Load() && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.speaks}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.speaks} }

// nameOrAll is for commands that take the name of a job, or --all.
func nameOrAll(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if *all && len(args) > 0 {
			return exit.Usagef("%s takes NAME or --all, not both; see `%[1]s --help`", cmd.CommandPath())
		}
		if !*all && len(args) != 1 {
			return exit.Usagef("%s takes NAME or --all, not %q; see `%[1]s --help`", cmd.CommandPath(), args)
		}
		return nil
	}
}

// named is the job that the arguments name, "" for all.
func named(args []string) string { return strings.Join(args, "") }
