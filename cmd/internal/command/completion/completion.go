// Package completion is `chunkfill completion`.
package completion

import (
	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "completion {bash | zsh | fish}",
		Short: "Print a script that completes this command in a shell",
		Long: `Prints a script for a shell that then completes commands, flags and the names of jobs,
which it reads from the database of --db, or of $CHUNKFILL_DB, read-only.`,
		Example: `  source <(chunkfill completion bash)                               # in ~/.bashrc; needs bash-completion
  chunkfill completion zsh > "${fpath[1]}/_chunkfill"               # once; needs compinit
  chunkfill completion fish > ~/.config/fish/completions/chunkfill.fish`,
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Usagef("%s takes a shell: bash, zsh or fish", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return exit.Usagef("no completion for %q: bash, zsh or fish", args[0])
		},
	}
}
