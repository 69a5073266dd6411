package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/chunkfill/chunkfill/engine"
)

// progress draws one line over and over on a terminal, and plain lines, less
// often, elsewhere. Log lines pass through it so that the two do not mix.
type progress struct {
	out      io.Writer // of a terminal the file itself, since the line is drawn with control characters
	terminal bool
	width    func() int // of the terminal
	log      repeats

	mu   sync.Mutex
	line string // what stands on the terminal now
}

func newProgress(out io.Writer) *progress {
	f, ok := beneath(out).(*os.File)
	p := &progress{out: out, terminal: ok && term.IsTerminal(int(f.Fd()))}
	if p.terminal {
		p.out, p.width = f, func() int { return columns(f) }
	}
	level := slog.LevelInfo
	if p.terminal {
		level = slog.LevelWarn
	}
	p.log = newRepeats(slog.NewTextHandler(p, &slog.HandlerOptions{Level: level}))
	return p
}

// logger logs through the progress display: everything elsewhere, only what is
// out of the ordinary on a terminal, where the line tells the rest. Of many
// warnings alike it logs a few, and their number when follow ends.
func (p *progress) logger() *slog.Logger { return slog.New(p.log) }

// Write writes a log line above the progress line.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	n, err := escaper{p.out}.Write(b)
	p.draw(p.line)
	return n, err
}

func (p *progress) erase() {
	if p.terminal && p.line != "" {
		fmt.Fprint(p.out, "\r\x1b[K") // to the end of the line
	}
}

// draw leaves the last column free: some terminals wrap as soon as it is written.
func (p *progress) draw(line string) {
	if p.terminal && line != "" {
		fmt.Fprint(p.out, "\r"+fit(visible(line), p.width()-1))
	}
}

// columns is the width of a terminal, as it is now.
func columns(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 {
		return 80
	}
	return width
}

// fit cuts a line to so many columns.
func fit(line string, columns int) string {
	for i, r := range line {
		if columns -= width(r); columns < 0 {
			return line[:i]
		}
	}
	return line
}

// width is how many columns a character takes at most: those of East Asia, and what
// comes after them, take two.
func width(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// follow shows what snapshot returns until the returned function is called.
func (p *progress) follow(snapshot func() (line string, ok bool)) (stop func()) {
	every := 5 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if line, ok := snapshot(); ok {
					p.show(line)
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		p.clear()
		p.log.sumUp()
	}
}

func (p *progress) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.terminal {
		fmt.Fprintln(p.out, visible(line))
		return
	}
	p.erase()
	p.line = line
	p.draw(line)
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.line = ""
}

// progressLine is a job at a glance; extra adds what the caller measures.
func progressLine(eng *engine.Engine, name string, extra func() string) (string, bool) {
	s, running := eng.Progress(name)
	if !running {
		return "", false
	}
	var b strings.Builder
	if s.Fraction >= 0 {
		fmt.Fprintf(&b, "%5.1f%%  ", 100*s.Fraction)
	}
	if s.Phase != "running" { // before what a narrow terminal has no room for
		fmt.Fprintf(&b, "%s  ", s.Phase)
	}
	fmt.Fprintf(&b, "%d rows  %s/s  ", s.Rows, rate(s.Rate))
	if s.ETA >= 0 {
		fmt.Fprintf(&b, "ETA %v  ", s.ETA.Round(time.Second))
	}
	fmt.Fprintf(&b, "batch %d", s.BatchRows)
	if extra != nil {
		b.WriteString("  " + extra())
	}
	if s.Quarantined > 0 {
		fmt.Fprintf(&b, "  %d set aside", s.Quarantined)
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, "  (%s)", s.Reason)
	}
	return b.String(), true
}

// rate has no more digits than tell something, and some of one that is slow.
func rate(rows float64) string {
	if rows > 0 && rows < 10 {
		return fmt.Sprintf("%.2g", rows)
	}
	return fmt.Sprintf("%.0f", rows)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)                                                // conditions stay readable
	if err := enc.Encode(v); err != nil && !errors.Is(err, syscall.EPIPE) { // not to read it is for the reader to decide
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// round shortens a duration to what a person reads.
func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}
