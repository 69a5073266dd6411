package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Exit statuses. README lists them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 3
	exitOwned       = 5
)

// run is the whole program: tests call it as main does.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	stdout, stderr = escaper{stdout}, escaper{stderr}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if interrupted(ctx, err) && !errors.As(err, new(interruption)) {
		err = interruption("interrupted; nothing was changed")
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status) // the command has said it all
	}
	if err != nil {
		fmt.Fprintln(stderr, "chunkfill:", indented(err.Error()))
	}
	return exitCode(err)
}

// exitStatus is returned by a command that has printed its own findings.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError marks what is wrong with the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// interruption says what Ctrl-C has left, in place of the engine's words, which are
// those of a library.
type interruption string

const goesOn = "interrupted; nothing is lost, the same command goes on where it stopped"

func (i interruption) Error() string { return string(i) }

func (i interruption) Is(target error) bool { return target == engine.ErrInterrupted }

// interrupted tells whether a command ended because it was asked to, at whatever.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && is(err, context.Canceled, engine.ErrInterrupted)
}

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, engine.ErrTableChanged): // while the job ran; it wraps what is wrong with the table now
		return exitFailed
	case errors.As(err, &usage), is(err, jobs.ErrSpec, engine.ErrConfig, engine.ErrFragment, engine.ErrNoTable, engine.ErrNoColumn,
		engine.ErrNoKey, engine.ErrNullKey, engine.ErrOwnWork, engine.ErrKeyMoves, engine.ErrCollation, engine.ErrNotWAL, engine.ErrReadOnly,
		engine.ErrOtherName, engine.ErrJobChanged, engine.ErrUnknownJob, asyncmig.ErrLedger):
		return exitUsage
	case errors.Is(err, asyncmig.ErrOwned):
		return exitOwned
	case errors.Is(err, engine.ErrInterrupted):
		return exitInterrupted
	}
	return exitFailed
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "chunkfill",
		Short: "Rewrite large tables inside a live SQLite database",
		Long: `chunkfill rewrites large tables inside a live SQLite database, a small
primary-key range at a time, while the application keeps writing.

Exit status: 0 done, 1 failed, 2 wrong usage (nothing was changed),
3 interrupted (the same command goes on where it stopped), 5 another process
runs the job.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; `chunkfill --help` lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(demoCommand(), runCommand(), statusCommand(), benchCommand(), preflightCommand())
	root.AddCommand(controlCommands()...)
	return root
}

// exactArgs is cobra.ExactArgs with a message that says which.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s takes one or more %s; see `%s --help`", cmd.CommandPath(), name, cmd.CommandPath())
		}
		return nil
	}
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			want := "no arguments"
			if len(names) > 0 {
				want = strings.Join(names, " and ")
			}
			return usagef("%s takes %s, not %q; see `%s --help`", cmd.CommandPath(), want, args, cmd.CommandPath())
		}
		return nil
	}
}
