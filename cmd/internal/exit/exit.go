// Package exit owns the exit statuses of the command, and which error ends with which.
package exit

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// The exit statuses. README lists them.
const (
	OK          = 0
	Failed      = 1
	Usage       = 2
	Interrupted = 3
	Owned       = 5
)

// Statuses of a process that a signal has ended, as shells have them.
const (
	SIGINT  = 128 + int(syscall.SIGINT)
	SIGTERM = 128 + int(syscall.SIGTERM)
)

// Status is returned by a command that has printed its own findings.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError marks what is wrong with the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Usagef is fmt.Errorf for what is wrong with the command line.
func Usagef(format string, args ...any) error { return AsUsage(fmt.Errorf(format, args...)) }

// AsUsage marks an error as one of the command line.
func AsUsage(err error) error { return usageError{err} }

// Interruption says what Ctrl-C has left, in place of the engine's words, which are
// those of a library.
type Interruption string

// GoesOn is the interruption of a job whose state is kept.
const GoesOn Interruption = "interrupted; nothing is lost, the same command continues where it stopped"

func (i Interruption) Error() string { return string(i) }

func (i Interruption) Is(target error) bool { return target == engine.ErrInterrupted }

// WasInterrupted reports whether a command ended because it was asked to, at whatever.
func WasInterrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && is(err, context.Canceled, engine.ErrInterrupted)
}

// Code is the exit status of a command that returned err.
func Code(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return OK
	case errors.Is(err, engine.ErrTableChanged): // while the job ran; it wraps what is wrong with the table now
		return Failed
	case errors.As(err, &usage), is(err, jobs.ErrSpec, engine.ErrConfig, engine.ErrFragment, engine.ErrNoTable, engine.ErrNoColumn,
		engine.ErrNoKey, engine.ErrNullKey, engine.ErrOwnWork, engine.ErrKeyMoves, engine.ErrCollation, engine.ErrNotWAL, engine.ErrReadOnly,
		engine.ErrOtherName, engine.ErrJobChanged, engine.ErrUnknownJob, asyncmig.ErrLedger):
		return Usage
	case errors.Is(err, asyncmig.ErrOwned):
		return Owned
	case errors.Is(err, engine.ErrInterrupted):
		return Interrupted
	}
	return Failed
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
