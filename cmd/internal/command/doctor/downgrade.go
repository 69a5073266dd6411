package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/ask"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/internal/record"
)

// downgrade brings the tables back to version 1, while nobody runs a job.
func downgrade(cmd *cobra.Command, path string, yes bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	db, err := database.Open(ctx, path, "rw")
	if err != nil {
		return err
	}
	defer db.Close()

	version, err := checkpoint.Version(ctx, db)
	if err != nil {
		return err
	}
	if version < 2 {
		fmt.Fprintf(out, "nothing to do: %s\n", alreadyThere(version))
		return nil
	}
	names, err := migrations(ctx, db)
	if err != nil {
		return err
	}

	// Whether it can be done is known before anybody is asked, and again when it is done.
	store := asyncmig.NewStore(db, asyncmig.Config{})
	defer store.Close()
	if err := withAll(ctx, store, names, func(ctx context.Context) error { return write(ctx, db, names, errTried) }); !errors.Is(err, errTried) {
		return refused(err)
	}
	if !yes {
		err := ask.Confirm(cmd, "Bring the tables back to version 1? Stop the service first: it would bring them to version "+
			strconv.Itoa(checkpoint.CurrentVersion)+" again.")
		if err != nil {
			return err
		}
	}
	if err := withAll(ctx, store, names, func(ctx context.Context) error { return write(ctx, db, names, nil) }); err != nil {
		return refused(err)
	}
	fmt.Fprintln(out, "the tables have version 1 again, with where each job stands; the older version can be deployed now")
	fmt.Fprintln(out, "a run of a job with this version brings them up to date again")
	return nil
}

func alreadyThere(version int) string {
	if version == 0 {
		return "no job has run on this database"
	}
	return fmt.Sprintf("the tables have version %d", version)
}

// refused is an error as one of the command line where another choice is the operator's.
func refused(err error) error {
	if errors.Is(err, record.ErrNoDowngrade) {
		return exit.AsUsage(err)
	}
	return err
}

// migrations returns the names under which somebody may run something here: all recorded
// jobs, and what the ledger says is pending, such as a job that is just beginning.
func migrations(ctx context.Context, db record.Querier) (names []string, err error) {
	all, err := record.List(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		names = append(names, c.Name)
	}

	pending, err := pendingInLedger(ctx, db)
	for _, name := range pending {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

// withAll calls fn while nobody else can run any of the migrations.
func withAll(ctx context.Context, store *asyncmig.Store, names []string, fn func(context.Context) error) error {
	if len(names) == 0 {
		return fn(ctx)
	}
	return store.Exclusive(ctx, names[0], func(ctx context.Context) error { return withAll(ctx, store, names[1:], fn) })
}

// errTried undoes a downgrade that was only tried.
var errTried = errors.New("it can be done")

// write makes the downgrade in one transaction; end is returned in place of committing it.
func write(ctx context.Context, db *sql.DB, locked []string, end error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("take the write lock: %w", err)
	}
	whole := context.WithoutCancel(ctx)
	defer func() {
		if err != nil {
			_, rollbackErr := conn.ExecContext(whole, "ROLLBACK")
			err = errors.Join(err, rollbackErr)
		}
	}()

	now, err := migrations(ctx, conn)
	if err != nil {
		return err
	}
	for _, name := range now {
		if !slices.Contains(locked, name) {
			return fmt.Errorf("%s was started meanwhile: try again when nobody starts jobs any more", output.Visible(name))
		}
	}
	if err := record.DowngradeTx(ctx, conn); err != nil {
		return err
	}
	if end != nil {
		return end
	}
	_, err = conn.ExecContext(whole, "COMMIT")
	return err
}
