// Command chunkfill rewrites large tables inside a live SQLite database, a small
// primary-key range at a time, while the application keeps writing.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	// Windows in named time zones work where no database of them is installed.
	_ "time/tzdata"
)

func main() {
	asks := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		asks = append(asks, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), asks...)
	// The first signal ends the work in good order; a second one ends the process.
	context.AfterFunc(ctx, stop)
	// Whoever reads the log or the result may go away, as head does: that is an error of
	// a write, not the end of a job. (Ignoring it would pass on to child processes.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
