package database

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// A shell that completes a word does not wait for long.
const completionTime = time.Second

// CompleteJob completes the name of a job by those of the database at *path; at most so
// many names are arguments of the command, or any number if most is 0.
func CompleteJob(path *string, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return jobNames(cmd.Context(), *path), cobra.ShellCompDirectiveNoFileComp
	}
}

// jobNames are the jobs of a database with their phases. What is wrong with it the command
// says, not the completion.
func jobNames(ctx context.Context, path string) []cobra.Completion {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	db, err := Open(ctx, path, "ro")
	if err != nil {
		return nil
	}
	defer db.Close()
	statuses, err := engine.ReadStatuses(ctx, db)
	if err != nil {
		return nil
	}

	var names []cobra.Completion
	for _, s := range statuses {
		if output.Visible(s.Name) == s.Name { // any other would be cut, or end the line
			names = append(names, cobra.CompletionWithDesc(s.Name, string(s.Phase)))
		}
	}
	return names
}
