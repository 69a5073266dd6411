// Package preflight implements `chunkfill preflight`. [Command] returns the command.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/gather"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/report"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/suggest"
)

// preflightOptions holds the flags of `chunkfill preflight`.
type preflightOptions struct {
	dir                              folder
	base, diff, body, format, config string
	dialect                          string
	all                              bool
}

// Command returns the command, ready to be added to a root command.
func Command() *cobra.Command { return preflightIn(".") }

// folder is the folder that file names are relative to; tests use one other than the
// current.
type folder string

func (f folder) join(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(string(f), name)
}

// read reads a file, or standard input for "-".
func (f folder) read(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(f.join(name))
}

func preflightIn(dir folder) *cobra.Command {
	o := preflightOptions{dir: dir}
	cmd := &cobra.Command{
		Use:   "preflight {--base REV | --diff FILE | --all [DIR…] | FILE…}",
		Short: "Find statements that scan or rewrite a table and lack a decision",
		Long: `Finds SQL in Go and .sql files whose cost grows with a table: index builds,
ALTER TABLE, UPDATE and DELETE of more than the rows of one key, and similar.
Each needs a decision by its author: a call of RunAsyncMigration around it, an
annotation above it, or the scale declared in the pull request. MIGRATIONS.md is
the policy, docs/preflight.md describes what is detected and what is not.

SQL that cannot be parsed is a finding, too. Statements for another database
are skipped and counted; an ORM, whose SQL is not in the source, is reported once.

Exit status: 0 clean, 1 findings, 2 could not run, 130 or 143 stopped by SIGINT or
SIGTERM.`,
		Args: func(cmd *cobra.Command, args []string) error { return o.validate(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error { return usageIfFailed(o.orStopped(cmd, args)) },
	}

	f := cmd.Flags()
	f.StringVar(&o.base, "base", "", "check the lines added since the merge base with this revision")
	f.StringVar(&o.diff, "diff", "", "check the lines that this diff adds; - is standard input")
	f.BoolVar(&o.all, "all", false, "check every file below the given folders (default: this one)")
	f.StringVar(&o.body, "pr-body", "", "file with the body of the pull request; - is standard input")
	f.StringVar(&o.format, "format", "text", strings.Join(report.Formats, ", "))
	f.StringVar(&o.dialect, "dialect", "auto", "auto skips SQL that its folder, driver or syntax shows to be for another\ndatabase; sqlite checks everything")
	f.StringVar(&o.config, "config", "", "configuration file (default: "+preflight.ConfigName+" here or above)")
	cmd.AddCommand(rulesCommand(), explainCommand(), suggestCommand(dir))
	return cmd
}

// usageIfFailed makes every failure but findings exit status 2: a gate that
// could not run must not look like one that found something, or nothing.
func usageIfFailed(err error) error {
	var status exit.Status
	if err == nil || errors.As(err, &status) || errors.As(err, new(exit.Interruption)) {
		return err
	}
	return exit.AsUsage(err)
}

// orStopped does not wait, after a signal, for files that are being read: nothing is
// written except the report at the end, and a partial report would look like a complete
// one.
func (o *preflightOptions) orStopped(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	done := make(chan error, 1)
	go func() { done <- o.run(cmd, args) }()

	select {
	case err := <-done:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}

	// There is nothing that could go on later, so it ends as any program that a signal ends.
	const what = "preflight was interrupted: nothing was checked"
	if strings.HasPrefix(context.Cause(ctx).Error(), syscall.SIGTERM.String()) {
		fmt.Fprintln(cmd.ErrOrStderr(), "chunkfill: "+what)
		return exit.Status(128 + int(syscall.SIGTERM))
	}
	return exit.Interruption(what)
}

func (o *preflightOptions) validate(cmd *cobra.Command, args []string) error {
	scopes := 0
	for _, given := range []bool{cmd.Flags().Changed("base"), cmd.Flags().Changed("diff"), o.all || len(args) > 0} {
		if given {
			scopes++
		}
	}

	switch {
	case scopes != 1:
		return exit.Usagef("say what to check, one of: --base REV, --diff FILE, --all [DIR…], FILE…")
	case cmd.Flags().Changed("base") && (o.base == "" || strings.HasPrefix(o.base, "-")):
		return exit.Usagef("--base %q is not a revision", o.base)
	case cmd.Flags().Changed("pr-body") && o.body == "":
		return exit.Usagef("--pr-body is empty: give a file, or - for standard input")
	case !slices.Contains(preflight.Dialects, o.dialect):
		return exit.Usagef("--dialect %q is not one of %s: this gate checks only SQLite", o.dialect, strings.Join(preflight.Dialects, ", "))
	case o.body == "-" && o.diff == "-":
		return exit.Usagef("--diff and --pr-body cannot both be standard input")
	}
	return nil
}

func (o *preflightOptions) run(cmd *cobra.Command, args []string) error {
	in, err := o.gather(cmd.Context(), cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	if o.body != "" {
		text, err := o.dir.read(cmd.InOrStdin(), o.body)
		if err != nil {
			return fmt.Errorf("--pr-body: %w", err)
		}
		body := string(text)
		in.Body = &body
	}

	result, err := preflight.Check(cmd.Context(), in)
	if err != nil {
		return err
	}
	if err := o.write(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	if len(result.Findings) > 0 {
		return exit.Status(exit.Failed)
	}
	return nil
}

func (o *preflightOptions) gather(ctx context.Context, stdin io.Reader, args []string) (in preflight.Input, err error) {
	name, err := o.configName()
	if err != nil {
		return in, err
	}
	config, err := preflight.ReadConfig(name)
	if err != nil {
		return in, err
	}

	if o.dialect != preflight.Dialects[0] {
		config.Dialect = o.dialect
	}

	tree, err := gather.Open(ctx, string(o.dir), config)
	if err != nil {
		return in, err
	}
	switch {
	case o.base != "":
		return tree.Base(ctx, o.base)
	case o.diff != "":
		text, err := o.dir.read(stdin, o.diff)
		if err != nil {
			return in, fmt.Errorf("--diff: %w", err)
		}
		return tree.Diff(ctx, text)
	case o.all && len(args) == 0:
		return tree.All(ctx, []string{"."})
	case o.all:
		return tree.All(ctx, args)
	}
	return tree.Files(ctx, args)
}

func (o *preflightOptions) configName() (string, error) {
	if o.config != "" {
		return o.dir.join(o.config), nil
	}
	return preflight.FindConfig(string(o.dir))
}

// stepSummary is the variable in which a GitHub workflow names the file shown on its page.
const stepSummary = "GITHUB_STEP_SUMMARY"

// write prints the report, and adds to the step summary if a GitHub workflow has one.
func (o *preflightOptions) write(out io.Writer, r *preflight.Report) error {
	name := os.Getenv(stepSummary)
	if o.format != "github" || name == "" {
		return report.Write(out, nil, o.format, r)
	}
	summary, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the step summary: %w", err)
	}
	return errors.Join(report.Write(out, summary, o.format, r), summary.Close())
}

func rulesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rules",
		Short: "List the rules",
		Args:  flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, r := range preflight.Rules() {
				fmt.Fprintf(w, "%s\t%s\t%s\n", r.Code, r.Name, r.What)
			}
			return w.Flush()
		},
	}
}

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain CODE",
		Short: "Explain a finding and how to resolve it",
		Args:  flags.ExactArgs("CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, ok := preflight.FindRule(args[0])
			if !ok {
				return exit.Usagef("there is no rule %q; `chunkfill preflight rules` lists them", args[0])
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n\nFound: %s.\nWhy:   %s.\nFix:   %s.\n", r.Code, r.Name, r.What, r.Why, r.Fix)
			if r.Statement() {
				fmt.Fprintf(cmd.OutOrStdout(), "\n%s", preflight.Ways)
			}
			return nil
		},
	}
}

func suggestCommand(dir folder) *cobra.Command {
	return &cobra.Command{
		Use:   "suggest {FILE:LINE | SQL | -}",
		Short: "Print a statement as a chunked job, or annotated",
		Args:  flags.ExactArgs("FILE:LINE, SQL or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sql, err := statementText(dir, cmd.InOrStdin(), args[0])
			if err != nil {
				return usageIfFailed(err)
			}

			code, err := suggest.For(sql)
			if err != nil {
				return usageIfFailed(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), code)
			return nil
		},
	}
}

var fileLine = regexp.MustCompile(`^(.+\.(?:go|sql)):([0-9]+)(?::[0-9]+)?$`)

// statementText returns the SQL that an argument refers to.
func statementText(dir folder, stdin io.Reader, arg string) (string, error) {
	if arg == "-" {
		text, err := io.ReadAll(stdin)
		return string(text), err
	}
	m := fileLine.FindStringSubmatch(arg)
	if m == nil {
		return arg, nil
	}

	text, err := dir.read(stdin, m[1])
	if err != nil {
		return "", fmt.Errorf("read the statement: %w", err)
	}

	line, err := strconv.Atoi(m[2])
	if err != nil {
		return "", fmt.Errorf("line %s: %w", m[2], err)
	}
	return preflight.StatementAt(m[1], text, line)
}
