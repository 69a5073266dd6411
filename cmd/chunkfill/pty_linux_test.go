package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// terminal is a pseudo-terminal, and what was written to it.
type terminal struct {
	t       *testing.T
	keys    *os.File // our end: what is written to it was typed
	far     *os.File // the end of the program
	mu      sync.Mutex
	written bytes.Buffer
	closed  chan struct{} // nothing more will be written
}

// newTerminal opens one of so many columns.
func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { keys.Close() })
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err == nil {
		err = unix.IoctlSetWinsize(int(far.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}

	term := &terminal{t: t, keys: keys, far: far, closed: make(chan struct{})}
	t.Cleanup(func() { far.Close() })
	go term.collect()
	return term
}

// collect reads until the last program has closed its end.
func (term *terminal) collect() {
	defer close(term.closed)
	buf := make([]byte, 4096)
	for {
		n, err := term.keys.Read(buf)
		term.mu.Lock()
		term.written.Write(buf[:n])
		term.mu.Unlock()
		if err != nil { // EIO: nobody has the other end open
			return
		}
	}
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.written.String()
}

// starts runs the command on the terminal, which becomes its own.
func (term *terminal) starts(env []string, args ...string) *process {
	term.t.Helper()
	p := &process{t: term.t, cmd: exec.CommandContext(term.t.Context(), "chunkfill", args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = term.far, term.far, term.far
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := p.cmd.Start(); err != nil {
		term.t.Fatal(err)
	}
	term.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// says waits until the terminal has shown a text.
func (term *terminal) says(text string) {
	term.t.Helper()
	for began := time.Now(); !strings.Contains(term.text(), text); <-time.After(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			term.t.Fatalf("the terminal does not show %q but\n%q", text, term.text())
		}
	}
}

// types presses a key.
func (term *terminal) types(key byte) {
	term.t.Helper()
	if _, err := term.keys.Write([]byte{key}); err != nil {
		term.t.Fatal(err)
	}
}

// ended waits for the last of what was written, and returns it.
func (term *terminal) ended() string {
	term.far.Close()
	<-term.closed
	return term.text()
}

// screen is what a terminal makes of what is written to it, as far as lines go.
type screen struct {
	column  int
	line    []rune
	wide    []string // lines that would wrap
	escapes []string
}

// render goes through a text as a terminal of so many columns does. A line of one word may
// wrap: a path or the name of a host is not broken.
func render(text string, columns int) (s screen) {
	for text != "" {
		if strings.HasPrefix(text, "\x1b[") {
			end := 2 + strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			s.escapes = append(s.escapes, text[:end+1])
			text = text[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		s.put(r, columns)
	}
	return s
}

func (s *screen) put(r rune, columns int) {
	switch r {
	case '\r', '\n':
		if line := strings.TrimSpace(string(s.line)); s.column > columns && strings.Contains(line, " ") {
			s.wide = append(s.wide, line)
		}
		s.column, s.line = 0, nil
	default:
		s.column++
		s.line = append(s.line, r)
	}
}

// wantTidy looks at all that was shown: no line wraps, the cursor is shown, and the prompt
// that follows begins a line.
func wantTidy(t *testing.T, shown string, columns int) screen {
	t.Helper()
	s := render(shown, columns)
	if len(s.wide) > 0 {
		t.Errorf("wider than %d columns: %q", columns, s.wide)
	}
	for _, e := range s.escapes {
		if e != "\x1b[K" { // erases the rest of a line: no color, no hidden cursor, no other screen
			t.Errorf("it steers the terminal with %q", e)
		}
	}
	if s.column != 0 {
		t.Errorf("it leaves the cursor in column %d: %q", s.column, shown)
	}
	return s
}

// narrow is how wide a pane beside an editor may be.
const narrow = 40

// TestNarrowTerminal plays what somebody does in a pane of 40 columns: run a job, look at it
// from another one, stop it with Ctrl-C, look again, and run it to its end. No line wraps,
// and the terminal is as it was before. Planted and caught: a line that is not cut, a result
// and a status that are not folded, no room for the ^C, a progress line that stays at the end.
func TestNarrowTerminal(t *testing.T) {
	path := counts(t, 2000)
	if _, err := query(path, "rw", `CREATE TRIGGER refuse BEFORE UPDATE ON counts WHEN new.id IN (7, 8, 9, 10, 11)
		BEGIN SELECT RAISE(ABORT, 'this row is not to be changed by anybody'); END`); err != nil {
		t.Fatal(err)
	}

	runs := newTerminal(t, narrow)
	p := runs.starts([]string{"TERM=xterm"}, runCounts(path, "--max-rate", "100")...)
	runs.says("%  ")
	wantSoon(t, path, "SELECT count(*) FROM _async_migration_quarantine", "5")

	watches := newTerminal(t, narrow)
	w := watches.starts([]string{"TERM=xterm"}, "watch", "--db", path, "count")
	watches.says("\r\x1b[K")
	watches.types(ctrlC)
	w.wants(exit.Interrupted)
	wantTidy(t, watches.ended(), narrow)

	runs.types(ctrlC)
	p.wants(exit.Interrupted)
	shown := runs.ended()
	wantTidy(t, shown, narrow)
	for _, want := range []string{"count: interrupted; ", "chunkfill: " + string(exit.GoesOn)} {
		if !strings.Contains(strings.Join(strings.Fields(shown), " "), want) {
			t.Errorf("it does not say %q: %q", want, shown)
		}
	}

	looks := newTerminal(t, narrow)
	looks.starts([]string{"TERM=xterm"}, "status", "--db", path).wants(exit.OK)
	if shown := looks.ended(); !strings.Contains(shown, "phase     interrupted") {
		t.Errorf("%q", shown)
	} else {
		wantTidy(t, shown, narrow)
	}

	again := newTerminal(t, narrow)
	again.starts([]string{"TERM=xterm"}, runCounts(path)...).wants(exit.OK)
	if shown := again.ended(); !strings.Contains(shown, "count: done; 2000 rows scanned") {
		t.Errorf("%q", shown)
	} else {
		wantTidy(t, shown, narrow)
	}
	wantRows(t, path, "SELECT count(*), min(n), max(n) FROM counts WHERE id NOT BETWEEN 7 AND 11", "1995|1|1")
}

const ctrlC = 3

// TestNoEscapes: a dumb terminal gets lines and no escape sequence; NO_COLOR forbids colors,
// of which there are none anyway, and leaves the line that is drawn over and over. Planted and
// caught: TERM not looked at; a progress line in color.
func TestNoEscapes(t *testing.T) {
	path := counts(t, 2000)
	for _, env := range []string{"TERM=dumb", "NO_COLOR=1"} {
		term := newTerminal(t, narrow)
		p := term.starts([]string{"TERM=xterm", env}, runCounts(path, "--max-rate", "100")...)
		wantSoon(t, path, "SELECT rows_scanned > 0 FROM _async_migration_ranges", "1")
		for _, args := range [][]string{{"status"}, {"watch"}} {
			looks := newTerminal(t, narrow)
			l := looks.starts([]string{"TERM=xterm", env}, append(args, "--db", path)...)
			looks.says("count")
			if args[0] == "watch" {
				looks.types(ctrlC)
			}
			_ = l.cmd.Wait()
			wantPlain(t, wantTidy(t, looks.ended(), narrow), env)
		}
		term.types(ctrlC)
		p.wants(exit.Interrupted)
		wantPlain(t, wantTidy(t, term.ended(), narrow), env)
	}
}

func wantPlain(t *testing.T, s screen, env string) {
	t.Helper()
	if env == "TERM=dumb" && len(s.escapes) > 0 {
		t.Errorf("%s: escape sequences %q", env, s.escapes)
	}
}
