package control

import "github.com/spf13/cobra"

// Commands ask something of a job, whoever runs it.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		pauseCommand(),
		resumeCommand(),
		cancelCommand(),
		tuneCommand(),
		swapCommand(),
		retryCommand(),
		verifyCommand(),
		forgetCommand(),
	}
}
