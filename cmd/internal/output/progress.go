package output

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Progress draws one line over and over on a terminal, and plain lines, less
// often, elsewhere. Log lines pass through it so that the two do not mix.
type Progress struct {
	out      io.Writer  // of a terminal the file itself, since the line is drawn with control characters
	Terminal bool       // whether out is one
	width    func() int // of the terminal
	log      repeats

	mu   sync.Mutex
	line string // what stands on the terminal now
}

// IsTerminal reports whether a reader or a writer is a terminal, also beneath an Escaper.
func IsTerminal(stream any) bool {
	if e, ok := stream.(Escaper); ok {
		stream = e.Out
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// NewProgress shows progress on out, which may be a terminal.
func NewProgress(out io.Writer) *Progress {
	f, ok := beneath(out).(*os.File)
	dumb := os.Getenv("TERM") == "dumb" // it cannot erase what it has drawn
	p := &Progress{out: out, Terminal: ok && !dumb && term.IsTerminal(int(f.Fd()))}
	if p.Terminal {
		p.out, p.width = f, func() int { return columns(f) }
	}

	level := slog.LevelInfo
	if p.Terminal {
		level = slog.LevelWarn
	}
	p.log = newRepeats(slog.NewTextHandler(p, &slog.HandlerOptions{Level: level}))
	return p
}

// Logger logs through the progress display: everything elsewhere, only what is
// out of the ordinary on a terminal, where the line shows the rest. Of many
// warnings alike it logs a few, and their number when Follow ends.
func (p *Progress) Logger() *slog.Logger { return slog.New(p.log) }

// Write writes a log line above the progress line.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	err := Print(Escaper{p.out}, string(b))
	p.draw(p.line)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *Progress) erase() {
	if p.Terminal && p.line != "" {
		fmt.Fprint(p.out, "\r\x1b[K") // to the end of the line
	}
}

// margin is how many columns stay free: the last one, since some terminals wrap as soon as
// it is written, and two for the ^C that a terminal shows when somebody presses that.
const margin = 1 + len("^C")

func (p *Progress) draw(line string) {
	if p.Terminal && line != "" {
		fmt.Fprint(p.out, "\r"+fit(Visible(line), p.width()-margin))
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

// Follow shows what snapshot returns until the returned function is called.
func (p *Progress) Follow(snapshot func() (line string, ok bool)) (stop func()) {
	every := 5 * time.Second
	if p.Terminal {
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
					p.Show(line)
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		p.Clear()
		p.log.sumUp()
	}
}

// Show shows a line until the next one takes its place.
func (p *Progress) Show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Terminal {
		_ = Printf(p.out, "%s\n", Visible(line)) // a line less; the result tells whether it can be written
		return
	}
	p.erase()
	p.line = line
	p.draw(line)
}

// Clear removes the line.
func (p *Progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.line = ""
}
