package torture_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// process is a subject that runs beside the test.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func begin(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, cmd.Stderr = bufio.NewReader(out), &p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

// says waits until the program has said a line: "standing" where -stand-at made it
// stand still, "started" when -start has registered its jobs.
func (p *process) says(want string) {
	p.t.Helper()
	for {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			p.t.Fatalf("it ended without saying %s: %s", want, &p.stderr)
		}
		if line == want+"\n" {
			return
		}
	}
}

// walk lets it go on.
func (p *process) walk() { fmt.Fprintln(p.stdin) }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end closes its standard input, waits for its end and returns what it has
// printed; the error has what it said on standard error.
func (p *process) end() (string, error) {
	p.stdin.Close()
	out, readErr := io.ReadAll(p.stdout)
	if readErr != nil {
		p.t.Fatal(readErr)
	}
	if err := p.cmd.Wait(); err != nil {
		return string(out), fmt.Errorf("%w: %s", err, strings.TrimSpace(p.stderr.String()))
	}
	return string(out), nil
}

// file opens the trial's database beside whatever else uses it, reads one value
// as text and closes it again.
func (tr *trial) value(query string) string {
	tr.t.Helper()
	db, err := torture.Open(tr.path)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer db.Close()
	var v string
	if err := db.QueryRow(query).Scan(&v); err != nil {
		tr.t.Fatalf("%s: %v", query, err)
	}
	return v
}

// wantRight fails the test if the judge finds anything wrong.
func (tr *trial) wantRight() torture.Verdict {
	tr.t.Helper()
	verdict := tr.judge()
	for _, wrong := range verdict.Wrong {
		tr.t.Error(wrong)
	}
	return verdict
}
