package run

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// RebuildCommand is the command for another shape of a table, ready to be added to a root.
func RebuildCommand() *cobra.Command {
	var f runFlags
	var job jobs.Rebuild
	var schema string
	var set []string
	cmd := &cobra.Command{
		Use:   "rebuild --db FILE --table TABLE --schema FILE [--set 'column = expression']",
		Short: "Give a live table another shape",
		Long: `Gives a table other types, constraints, keys, defaults or indexes while it is being
written: it copies the rows into a table of the new shape in small batches, brings over
what is written meanwhile, compares each row, and lets the two tables change places in
one short transaction. The rows of the old table are then deleted in small batches, or
kept with --keep-old. After Ctrl-C or a kill the same command continues where it stopped.

--schema is a file with the new CREATE TABLE, under the name of the table, and a CREATE
INDEX for each index that is new or another one; - reads it from the standard input. Other
indexes, triggers, views and the foreign keys of other tables stay. A column keeps its
value unless --set gives another; a value that its new type would change is refused. One
that the new table does not have goes, with its values, unless --keep-old is given.

Rows that break the new shape are counted, and the first are shown, before anything is
made. One that is written later is named by its key, in quarantine (see ` + "`chunkfill errors`" + `) or in
the error with which the job ends, and the tables do not change places; no write of the
application fails because of it. Change that row, and retry. --dry-run shows all that
would be done, and whatever stands in the way.

With --hold-swap the job waits before the tables change places, and ` + "`chunkfill swap`" + ` has
them do so. ` + "`chunkfill cancel`" + ` takes all back, at any time before that.`,
		Example: `  chunkfill rebuild --db app.db --table users --schema users.sql
  chunkfill rebuild --db app.db --table users --schema users.sql --set 'age = CAST(age AS INTEGER)' --keep-old
  echo 'CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT' | chunkfill rebuild --db app.db --table t --schema -`,
		Args: flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := f.check(cmd); err != nil {
				return err
			}
			if job.Table == "" || schema == "" {
				return exit.Usagef("--table and --schema are required; see `chunkfill rebuild --help`")
			}
			if job.Schema, err = readSchema(schema, cmd.InOrStdin()); err != nil {
				return err
			}
			if job.Set, err = flags.ParseAssigns(set); err != nil {
				return err
			}
			if job.Name == "" {
				job.Name = "rebuild_" + job.Table
			}
			return f.reshape(cmd, job)
		},
	}

	own := cmd.Flags()
	own.StringVar(&job.Name, "name", "", "name of the job (default rebuild_ and the table); the same name continues the same job")
	own.StringVar(&job.Table, "table", "", "table to rebuild")
	own.StringVar(&schema, "schema", "", "file with the new CREATE TABLE, and any CREATE INDEX; - for the standard input")
	own.StringArrayVar(&set, "set", nil, "'column = expression' over the row of the old table (repeatable)")
	registerSwap(own, &job.HoldSwap, &job.SwapWindow)
	own.BoolVar(&job.KeepOld, "keep-old", false, "keep the old table, as _chunkfill_old_ and its name")
	f.registerReshape(cmd, &job.Queries)
	return cmd
}

// IndexCommand is the command for an index on a live table, ready to be added to a root.
func IndexCommand() *cobra.Command {
	var f runFlags
	var job jobs.Index
	cmd := &cobra.Command{
		Use:   "index --db FILE 'CREATE INDEX ...'",
		Short: "Make an index on a live table",
		Long: `Makes an index while the table is being written. A plain CREATE INDEX keeps all writes
waiting for as long as it reads the whole table; where that is short enough it is the
better way: --dry-run says how long. This one rebuilds the table beside itself with the
index (see ` + "`chunkfill rebuild`" + `), or, with --twin, builds the index alone, which is a
fraction of the work. After Ctrl-C or a kill the same command continues where it stopped.

--twin is experimental, and for tables with an INTEGER PRIMARY KEY. Until it is done,
PRAGMA integrity_check reports the index that is being built, and VACUUM and REINDEX undo
what has been built.

With --hold-swap the job waits before the index is put into its place, and ` + "`chunkfill\nswap`" + ` has it do so. ` + "`chunkfill cancel`" + ` takes all back, at any time before that.`,
		Example: `  chunkfill index --db app.db 'CREATE INDEX users_email ON users(email)'
  chunkfill index --db app.db 'CREATE INDEX users_email ON users(email)' --dry-run --query 'SELECT * FROM users WHERE email = ?'
  chunkfill index --db app.db 'CREATE INDEX obs_at ON observations(observer, at)' --twin --run-time 2h`,
		Args: oneStatement,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			name, table, err := reshape.IndexIn(args[0])
			if err != nil {
				return err
			}
			if job.Name == "" {
				job.Name = name
			}
			job.Table, job.Create = table, args[0]
			return f.reshape(cmd, job)
		},
	}

	own := cmd.Flags()
	own.StringVar(&job.Name, "name", "", "name of the job (default that of the index); the same name continues the same job")
	registerSwap(own, &job.HoldSwap, &job.SwapWindow)
	own.BoolVar(&job.Twin, "twin", false, "build the index alone, in place of the whole table (experimental)")
	f.registerReshape(cmd, &job.Queries)
	return cmd
}

// registerReshape adds the flags that both have.
func (f *runFlags) registerReshape(cmd *cobra.Command, queries *[]string) {
	f.register(cmd)
	set := cmd.Flags()
	set.StringArrayVar(queries, "query", nil, "a query of the application, whose plan is shown before and after (repeatable); it is not run")
	set.BoolVar(&f.dryRun, "dry-run", false, "show what would happen: steps, SQL, room, time, plans of --query and what would be refused; change nothing")
	set.Lookup("json").Usage = "print the result, or the output of --dry-run, as JSON"
}

// registerSwap adds the flags that say when the last step that others see is taken.
func registerSwap(set *pflag.FlagSet, hold *bool, window *string) {
	set.BoolVar(hold, "hold-swap", false, "wait before the swap, with all copied and kept up to date, until 'chunkfill swap' asks for it")
	set.StringVar(window, "swap-window", "", "wait before the swap until 'chunkfill swap', or until this window is open, such as 'Sun 02:00-04:00 Europe/Berlin'")
}

func oneStatement(_ *cobra.Command, args []string) error {
	if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
		return exit.Usagef("chunkfill index takes one CREATE INDEX, in quotes, not %q; see `chunkfill index --help`", args)
	}
	return nil
}

// reshape runs a job that changes the schema.
func (f runFlags) reshape(cmd *cobra.Command, job jobs.Job) error {
	err := runOne(cmd.Context(), f, job, cmd.OutOrStdout(), cmd.ErrOrStderr())
	if errors.Is(err, engine.ErrJobChanged) {
		return exit.Usagef("%w; with --name this one is a job of its own", err)
	}
	return err
}

// mostSchema is more than any CREATE TABLE has; a database or a dump given by mistake is not read whole.
const mostSchema = 4 << 20

// readSchema reads the statements of a new shape, from a file, or from standard input for "-".
func readSchema(path string, stdin io.Reader) (string, error) {
	from := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", exit.Usagef("--schema: %w", err)
		}
		defer file.Close()
		from = file
	}

	text, err := io.ReadAll(io.LimitReader(from, mostSchema+1))
	switch {
	case err != nil:
		return "", exit.Usagef("--schema %s: %w", path, err)
	case len(text) > mostSchema:
		return "", exit.Usagef("--schema %s is longer than %d MiB, which no CREATE TABLE is", path, mostSchema>>20)
	case strings.TrimSpace(string(text)) == "":
		return "", exit.Usagef("--schema %s is empty: it needs a CREATE TABLE", path)
	}
	return string(text), nil
}
