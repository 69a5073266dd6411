// Package schema is `chunkfill diff` and `chunkfill apply`.
package schema

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/internal/schemadiff"
)

// Commands are diff and apply, ready to be added to a root.
func Commands() []*cobra.Command { return []*cobra.Command{diffCommand(), applyCommand()} }

// wish is what a command is told of the schema that is wanted.
type wish struct {
	db, file                     string
	renames, drops, sets, ignore []string
	maxHold                      time.Duration
	json                         bool
}

func (w *wish) register(cmd *cobra.Command) {
	set := cmd.Flags()
	flags.Database(cmd, &w.db)
	set.StringVar(&w.file, "schema", "", "file with the CREATE statements of the schema that is wanted; - for the standard input")
	set.StringArrayVar(&w.renames, "rename", nil, "'table=new' or 'table.column=new': it is the same under another name (repeatable)")
	set.StringArrayVar(&w.drops, "allow-drop", nil, "'table' or 'table.column' may go; its data is kept beside (repeatable)")
	set.StringArrayVar(&w.sets, "set", nil, "'table.column = expression' over the old row: its value where the table is rebuilt (repeatable)")
	set.StringArrayVar(&w.ignore, "ignore", nil, "leave tables alone whose names match this pattern, such as 'audit_*' (repeatable)")
	set.DurationVar(&w.maxHold, "max-hold", 20*time.Millisecond, "what is likely to hold the writer for longer is done in batches")
	_ = cmd.MarkFlagFilename("schema", "sql") // it fails for a flag that is not there
}

// options are the flags as the planner has them.
func (w *wish) options() (o schemadiff.Options, err error) {
	o = schemadiff.Options{AllowDrop: w.drops, Ignore: w.ignore, MaxHold: w.maxHold}
	for _, text := range w.renames {
		from, to, ok := strings.Cut(text, "=")
		from, to = strings.TrimSpace(from), strings.TrimSpace(to)
		if !ok || from == "" || to == "" {
			return o, exit.Usagef("--rename %q is not of the form 'table=new' or 'table.column=new'", text)
		}
		o.Renames = append(o.Renames, schemadiff.Rename{From: from, To: to})
	}
	for _, text := range w.sets {
		assign, err := flags.ParseAssign(text)
		table, column, ok := strings.Cut(assign.Column, ".")
		if err != nil || !ok {
			return o, exit.Usagef("--set %q is not of the form 'table.column = expression'", text)
		}
		o.Set = append(o.Set, schemadiff.Set{Table: table, Column: column, Expr: assign.Expr})
	}
	for _, pattern := range w.ignore {
		if err := schemadiff.CheckPattern(pattern); err != nil {
			return o, exit.Usagef("--ignore: %w", err)
		}
	}
	if w.maxHold <= 0 {
		return o, exit.Usagef("--max-hold %v is not a positive duration", w.maxHold)
	}
	return o, nil
}

// planned compares the database with the schema of the file.
func (w *wish) planned(ctx context.Context, stdin io.Reader) (*schemadiff.Plan, error) {
	wanted, opts, err := w.wanted(ctx, stdin)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, w.db, "ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	plan, err := schemadiff.Make(ctx, db, wanted, opts)
	return plan, usage(err)
}

// wanted reads the flags and the file.
func (w *wish) wanted(ctx context.Context, stdin io.Reader) (*schemadiff.Schema, schemadiff.Options, error) {
	opts, err := w.options()
	if err != nil {
		return nil, opts, err
	}
	script, err := w.read(stdin)
	if err != nil {
		return nil, opts, err
	}
	s, err := schemadiff.Wanted(ctx, script, opts.Ignore)
	return s, opts, usage(err)
}

// read returns the text of the schema.
func (w *wish) read(stdin io.Reader) (string, error) {
	var text []byte
	var err error
	switch w.file {
	case "":
		return "", exit.Usagef("--schema FILE is missing: name the file with the CREATE statements")
	case "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(w.file)
	}
	if err != nil {
		return "", exit.Usagef("read the schema: %w", err)
	}
	return string(text), nil
}

func usage(err error) error {
	if errors.Is(err, schemadiff.ErrSchema) || errors.Is(err, schemadiff.ErrOption) {
		return exit.AsUsage(err)
	}
	return err
}
