package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/command/audit"
	"github.com/chunkfill/chunkfill/cmd/internal/command/bench"
	"github.com/chunkfill/chunkfill/cmd/internal/command/completion"
	"github.com/chunkfill/chunkfill/cmd/internal/command/control"
	"github.com/chunkfill/chunkfill/cmd/internal/command/demo"
	"github.com/chunkfill/chunkfill/cmd/internal/command/doctor"
	"github.com/chunkfill/chunkfill/cmd/internal/command/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/command/run"
	"github.com/chunkfill/chunkfill/cmd/internal/command/schema"
	"github.com/chunkfill/chunkfill/cmd/internal/command/status"
	"github.com/chunkfill/chunkfill/cmd/internal/command/undo"
	"github.com/chunkfill/chunkfill/cmd/internal/command/watch"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// execute is the whole program: tests call it as main does.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	stdout, stderr = output.Escaper{Out: stdout}, output.Escaper{Out: stderr}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if exit.WasInterrupted(ctx, err) && !errors.As(err, new(exit.Interruption)) {
		err = exit.Interruption("interrupted; nothing was changed")
	}
	var status exit.Status
	if errors.As(err, &status) {
		return int(status) // the command has said it all
	}
	if err != nil {
		_ = output.Printf(stderr, "chunkfill: %s\n", output.Indented(err.Error()+exit.WayOut(err))) // there is nobody else to tell
	}
	return exit.Code(ctx, err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "chunkfill",
		Short: "Rewrite large tables inside a live SQLite database",
		Long: `chunkfill rewrites large tables inside a live SQLite database, a small
primary-key range at a time, while the application keeps writing.

Exit status:
` + exitStatuses(),
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return exit.Usagef("unknown command %q; `chunkfill --help` lists the commands", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.CompletionOptions.DisableDefaultCmd = true // ours knows the shells of the systems that this runs on
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit.Usagef("%w; see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(completion.Command(), demo.Command(), run.Command(), run.RebuildCommand(), run.IndexCommand(), undo.Command(), status.Command(), doctor.Command(), bench.Command(), preflight.Command(), versionCommand())
	root.AddCommand(control.Commands()...)
	root.AddCommand(audit.Commands()...)
	root.AddCommand(watch.Commands()...)
	root.AddCommand(schema.Commands()...)
	return root
}

// exitStatuses is the table of exit statuses, as help shows it.
func exitStatuses() string {
	var lines []string
	for _, m := range exit.Meanings {
		lines = append(lines, fmt.Sprintf("  %3d  %s", m.Status, m.Means))
	}
	return strings.Join(lines, "\n")
}
