package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/jobfile"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

func atMostAFile(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return exit.Usagef("chunkfill run takes one job file, not %q; see `chunkfill run --help`", args)
	}
	return nil
}

func completeFile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}

// sequence is the jobs of a file on their way.
type sequence struct {
	flags runFlags
	file  jobfile.File
	show  *output.Progress
	out   io.Writer

	results  []any    // of those that have one, for JSON
	notBegun []string // their names
}

// runFile runs the jobs of a file in order, and stops at the first that does not end well.
func runFile(ctx context.Context, f runFlags, path string, stdout, stderr io.Writer) error {
	for _, flag := range flags.OfJob {
		if f.given(flag) {
			return exit.Usagef("--%s says what a job is, and so does %s: leave one of them out", flag, path)
		}
	}
	file, err := jobfile.Read(path)
	if err != nil {
		return err
	}
	if file.DB != "" && !f.given("db") {
		f.db = file.DB
	}

	for _, job := range file.Jobs {
		f.jobs = append(f.jobs, job.Spec().Name)
	}
	s := &sequence{flags: f, file: file, show: output.NewProgress(stderr), out: stdout}
	if err := s.check(ctx); err != nil {
		return err
	}
	err = s.run(ctx)
	if f.json {
		err = errors.Join(err, output.WriteJSON(stdout, map[string]any{"jobs": s.results, "not_begun": s.notBegun}))
	}
	return err
}

// check holds all settings against the database before the first job begins.
func (s *sequence) check(ctx context.Context) error {
	for _, job := range s.file.Jobs {
		_, closeAll, err := s.flags.of(job).open(ctx, s.show)
		if err == nil {
			closeAll()
			continue
		}

		for flag, key := range settings {
			if strings.HasPrefix(err.Error(), "--"+flag+" ") || strings.HasPrefix(err.Error(), "--"+flag+":") {
				if !s.flags.given(flag) {
					return exit.Usagef("%s: job %s: %s%s", job.At(key), job.Spec().Name, key, strings.TrimPrefix(err.Error(), "--"+flag))
				}
			}
		}
		return err
	}
	return nil
}

// settings are the keys of a file that flags have, too.
var settings = map[string]string{"target-hold": "target_hold", "max-rate": "max_rate", "window": "window", "wal-budget": "wal_budget"}

func (s *sequence) run(ctx context.Context) error {
	limited, cancel := s.flags.limit(ctx)
	defer cancel()

	s.results, s.notBegun = []any{}, []string{}
	left := int64(s.flags.maxBatches)
	for i, job := range s.file.Jobs {
		err := s.ended(ctx, limited, left)
		if err == nil {
			var made int64
			made, err = s.one(ctx, limited, job, int(left))
			if s.flags.maxBatches > 0 {
				left -= made
			}
			err = naming(job.Spec().Name, err)
			i++ // it has begun
		}
		if err != nil {
			return s.stop(err, s.file.Jobs[i:])
		}
	}
	return nil
}

// naming adds the job to an error that does not name it.
func naming(name string, err error) error {
	if err == nil || strings.Contains(err.Error(), "job "+name) {
		return err
	}
	return fmt.Errorf("job %s: %w", name, err)
}

// ended tells whether a limit for all jobs is reached between two of them.
func (s *sequence) ended(ctx, limited context.Context, left int64) error {
	if limited.Err() != nil {
		return s.flags.ended(ctx, limited, fmt.Errorf("%w: %w", engine.ErrInterrupted, limited.Err()))
	}
	if s.flags.maxBatches > 0 && left <= 0 {
		return s.flags.ended(ctx, limited, engine.ErrInterrupted)
	}
	return nil
}

// one runs a job, or shows what it would do, and returns how many batches it has made.
func (s *sequence) one(ctx, limited context.Context, job jobfile.Job, batches int) (made int64, err error) {
	f := s.flags.of(job)
	f.maxBatches = batches
	if f.dryRun {
		d, err := f.dry(limited, job, s.show)
		if err != nil && d.Reshape == nil {
			return 0, s.flags.ended(ctx, limited, err)
		}
		name := job.Spec().Name
		printErr := s.shown(dryOf{name, d}, func() error {
			fmt.Fprintf(s.out, "name       %s\n", output.Visible(name))
			return f.printDry(job, d, s.out)
		})
		return 0, errors.Join(printErr, withoutValues(err))
	}

	done := f.work(ctx, limited, job, s.show)
	if f.retry && errors.Is(done.err, engine.ErrUnknownJob) { // one of the file that was not begun yet
		f.retry = false
		done = f.work(ctx, limited, job, s.show)
	}
	if done.has() {
		done.err = errors.Join(done.err, s.shown(done.Result, func() error { done.print(s.out); return nil }))
	}
	return done.batches, withoutValues(done.err)
}

// dryOf is a dry run with the name of its job, which tells those of a file apart.
type dryOf struct {
	name string
	engine.DryRunResult
}

// MarshalJSON implements [json.Marshaler].
func (d dryOf) MarshalJSON() ([]byte, error) {
	name, err := json.Marshal(d.name)
	if err != nil {
		return nil, err
	}
	rest, err := d.DryRunResult.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"name":%s,%s`, name, strings.TrimPrefix(string(rest), "{")), nil
}

// shown prints a result now, or keeps it for JSON.
func (s *sequence) shown(result any, text func() error) error {
	if s.flags.json {
		s.results = append(s.results, result)
		return nil
	}
	return text()
}

// stop says which jobs were not begun.
func (s *sequence) stop(err error, rest []jobfile.Job) error {
	for _, job := range rest {
		s.notBegun = append(s.notBegun, job.Spec().Name)
	}
	if len(rest) == 0 {
		return err
	}
	return notBegun{err, s.notBegun}
}

type notBegun struct {
	error
	names []string
}

func (n notBegun) Error() string {
	return fmt.Sprintf("%v\nnot begun: %s", n.error, strings.Join(n.names, ", "))
}

func (n notBegun) Unwrap() error { return n.error }

// of returns the flags for a job: those that were given, and else what the file says.
func (f runFlags) of(job jobfile.Job) runFlags {
	s := job.Settings
	if s.TargetHold != nil && !f.given("target-hold") {
		f.targetHold = s.Hold
	}
	either(&f.maxRate, s.MaxRate, f.given("max-rate"))
	either(&f.window, s.Window, f.given("window"))
	either(&f.soleProcess, s.SoleProcess, f.given("sole-process"))
	either(&f.badRows, s.QuarantineLimit, f.given("quarantine-limit"))
	either(&f.walBudget, s.WALBudget, f.given("wal-budget"))
	either(&f.minFree, s.MinFree, f.given("min-free"))
	either(&f.foreignKeys, s.ForeignKeys, f.given("foreign-keys"))
	return f
}

// either sets a flag to what the file says, if it does, and the flag was not given.
func either[T any](flag, file *T, given bool) {
	if file != nil && !given {
		*flag = *file
	}
}
