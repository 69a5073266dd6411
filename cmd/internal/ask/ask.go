// Package ask asks whoever sits at the terminal before a command does what cannot be undone.
package ask

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// Confirm asks a question that must be answered: where nobody can be asked the command is
// refused, and its --yes is the way out. No is an error.
func Confirm(cmd *cobra.Command, question string) error {
	if !output.IsTerminal(cmd.InOrStdin()) {
		return exit.Usagef("nobody can be asked, since the standard input is no terminal: say --yes")
	}
	return put(cmd, question)
}

// OnTerminal asks a person. Scripts, which have another standard input or output than a
// terminal, are not asked, and go on. The question is made up where somebody reads it; its
// error ends the command.
func OnTerminal(cmd *cobra.Command, question func() (string, error)) error {
	if !output.IsTerminal(cmd.InOrStdin()) || !output.IsTerminal(cmd.OutOrStdout()) {
		return nil
	}
	text, err := question()
	if err != nil {
		return err
	}
	return put(cmd, text)
}

// put asks on standard error, so that what the command prints is data alone.
func put(cmd *cobra.Command, question string) error {
	fmt.Fprint(cmd.ErrOrStderr(), output.Visible(question)+" [y/N] ")

	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n') // its end is no
		answers <- answer
	}()
	var answer string
	select {
	case answer = <-answers:
	case <-cmd.Context().Done():
		fmt.Fprintln(cmd.ErrOrStderr())
		return cmd.Context().Err()
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed; nothing was changed")
	}
	return nil
}
