package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/chunkfill/chunkfill/bench/load"
)

// ServeChild is the main function of a child process of a benchmark: a command calls it
// with its kind, its standard input and output, and returns. child is the parent's
// Config.Child.
func ServeChild(ctx context.Context, kind ChildKind, child func(ChildKind) *exec.Cmd, in io.Reader, out io.Writer) error {
	switch kind {
	case ChildLoad:
		return load.Serve(ctx, in, out)
	case ChildTrial:
		return serveTrial(ctx, child, in, out)
	}
	return fmt.Errorf("no child process of kind %q", kind)
}

func serveTrial(ctx context.Context, child func(ChildKind) *exec.Cmd, in io.Reader, out io.Writer) error {
	var spec trialSpec
	if err := json.NewDecoder(in).Decode(&spec); err != nil {
		return fmt.Errorf("read which trial to run: %w", err)
	}
	t, err := runTrial(ctx, spec, child)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}

// trialIn runs a trial in a separate process, which is interrupted when ctx ends.
func trialIn(ctx context.Context, cmd *exec.Cmd, spec trialSpec) (t Trial, err error) {
	order, err := json.Marshal(spec)
	if err != nil {
		return t, err
	}
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(order), &out, &complaints
	if err := cmd.Start(); err != nil {
		return t, fmt.Errorf("start a trial process: %w", err)
	}
	defer remove(spec.path()) // left by a process that was killed
	defer context.AfterFunc(ctx, func() { interrupt(cmd.Process) })()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return t, ctx.Err()
		}
		return t, fmt.Errorf("%v: trial process: %w: %s", spec.Case, err, bytes.TrimSpace(complaints.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &t); err != nil {
		return t, fmt.Errorf("%v: read what the trial process measured: %w", spec.Case, err)
	}
	return t, nil
}

// interrupt stops a process, or kills it where there are no signals.
func interrupt(p *os.Process) {
	if err := p.Signal(os.Interrupt); err != nil {
		_ = p.Kill() // it has ended already
	}
}
