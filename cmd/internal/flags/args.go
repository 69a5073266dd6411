// Package flags owns what several commands read from their command line: arguments, the
// flags that describe a job, and the names of flags in messages.
package flags

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// AtLeastOne is cobra.MinimumNArgs(1) with a message that says which.
func AtLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return exit.Usagef("%s takes one or more %s; see `%s --help`", cmd.CommandPath(), name, cmd.CommandPath())
		}
		return nil
	}
}

// ExactArgs is cobra.ExactArgs with a message that says which.
func ExactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			want := "no arguments"
			if len(names) > 0 {
				want = strings.Join(names, " and ")
			}
			return exit.Usagef("%s takes %s, not %q; see `%s --help`", cmd.CommandPath(), want, args, cmd.CommandPath())
		}
		return nil
	}
}
