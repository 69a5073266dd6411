// Package exit owns the exit statuses of the command, and which error ends with which.
package exit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// The exit statuses, of all commands. README has the same table.
const (
	OK          = 0
	Failed      = 1
	Usage       = 2
	Unfinished  = 3
	NoJob       = 4
	Busy        = 5
	Interrupted = 128 + int(syscall.SIGINT) // as shells have it
)

// Meanings says what each status means, for people; see the constants.
var Meanings = []struct {
	Status int
	Means  string
}{
	{OK, "done"},
	{Failed, "failed, and the message says why"},
	{Usage, "wrong usage, or what cannot be; nothing was changed"},
	{Unfinished, "unfinished: stopped by SIGTERM, a timeout or a limit; nothing is lost"},
	{NoJob, "no such job"},
	{Busy, "another process runs the job, or keeps the database locked"},
	{Interrupted, "stopped by Ctrl-C; nothing is lost"},
}

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

// unfinishedError marks what is not at its end, and is left as it is.
type unfinishedError struct{ error }

// Unfinishedf is fmt.Errorf for what is not at its end when the command ends.
func Unfinishedf(format string, args ...any) error {
	return unfinishedError{fmt.Errorf(format, args...)}
}

// WasInterrupted reports whether a command ended because it was asked to, at whatever.
func WasInterrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && is(err, context.Canceled, engine.ErrInterrupted)
}

// Code is the exit status of a command that returned err. ctx is the one that a signal ends.
func Code(ctx context.Context, err error) int {
	var usage usageError
	var unfinished unfinishedError
	switch {
	case err == nil:
		return OK
	case errors.Is(err, engine.ErrTableChanged): // while the job ran; it wraps what is wrong with the table now
		return Failed
	case is(err, engine.ErrShape, engine.ErrNoRoom) && !errors.Is(err, engine.ErrFailed):
		return Usage
	case errors.As(err, &usage), is(err, jobs.ErrSpec, engine.ErrConfig, engine.ErrFragment, engine.ErrNoTable, engine.ErrNoColumn,
		engine.ErrNoKey, engine.ErrNullKey, engine.ErrOwnWork, engine.ErrKeyMoves, engine.ErrCollation, engine.ErrNotWAL, engine.ErrReadOnly,
		engine.ErrOtherName, engine.ErrJobChanged, engine.ErrNoImages, engine.ErrArchive, engine.ErrImages, engine.ErrWrittenSince, engine.ErrOlderTables, asyncmig.ErrLedger):
		return Usage
	case errors.Is(err, engine.ErrUnknownJob):
		return NoJob
	case errors.Is(err, asyncmig.ErrOwned), locked(err):
		return Busy
	case errors.Is(err, engine.ErrInterrupted) && byCtrlC(ctx):
		return Interrupted
	case errors.Is(err, engine.ErrInterrupted), errors.As(err, &unfinished):
		return Unfinished
	}
	return Failed
}

// byCtrlC reports whether ctx was ended by SIGINT, which signal.NotifyContext gives as the
// cause in words alone.
func byCtrlC(ctx context.Context) bool {
	return ctx.Err() != nil && strings.HasPrefix(context.Cause(ctx).Error(), os.Interrupt.String())
}

// locked reports whether an error is SQLite's word for a lock that somebody else has.
func locked(err error) bool { return hasCode(err, sqlite3.SQLITE_BUSY) }

func hasCode(err error, code int) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == code
}

// WayOut is what to do about an error for which SQLite has only a name, to be put behind it; or "".
func WayOut(err error) string {
	if hasCode(err, sqlite3.SQLITE_FULL) {
		return "; make room on the disk of the database, then give the same command again: what is committed stays"
	}
	return ""
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// Wait waits for so long, or until Ctrl-C or a terminate ends the command.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
