package filelock_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// The test binary is also the other process: it does what its role says, says how
// that went and waits for the end of its input.
const (
	roleVar = "CHUNKFILL_FILELOCK_ROLE"
	pathVar = "CHUNKFILL_FILELOCK_PATH"
)

func TestMain(m *testing.M) {
	role, path := os.Getenv(roleVar), os.Getenv(pathVar)
	var kept any
	var err error
	switch role {
	case "":
		os.Exit(m.Run())
	case "own":
		kept, err = filelock.TryLock(path, "m")
	case "own and announce":
		lock, lockErr := filelock.TryLock(path, "m")
		announced, announceErr := filelock.Announce(path, "m")
		kept, err = []*filelock.Lock{lock, announced}, errors.Join(lockErr, announceErr)
	case "own and have a child":
		var lockErr error
		kept, lockErr = filelock.TryLock(path, "m")
		err = errors.Join(lockErr, command("heir", path, os.Stdin, os.Stdout).Start())
	case "heir":
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			fmt.Println("heir", lines.Text())
		}
		os.Exit(0)
	case "ask for a gap":
		kept, err = filelock.Ask(path)
	case "who":
		var pid int
		var held bool
		pid, held, err = filelock.Holder(path, "m")
		if err == nil {
			fmt.Println("held:", held, pid > 0)
			os.Exit(0)
		}
	case "write":
		kept, err = write(path)
	}
	fmt.Println(word(err))
	_, _ = io.ReadAll(os.Stdin)
	runtime.KeepAlive(kept)
}

// word is how an error is said on a line.
func word(err error) string {
	switch {
	case err == nil:
		return "right"
	case errors.Is(err, filelock.ErrHeld):
		return "held"
	case errors.Is(err, os.ErrPermission):
		return "permission denied"
	}
	return err.Error()
}

// write takes SQLite's write lock.
func write(path string) (*sql.DB, error) {
	db := openSQLite(path)
	_, err := db.Exec("BEGIN IMMEDIATE")
	if err != nil && strings.Contains(err.Error(), "locked") {
		err = filelock.ErrHeld
	}
	return db, err
}

func openSQLite(path string) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(0)")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func command(role, path string, in, out *os.File) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+role, pathVar+"="+path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	return cmd
}

// process is another process and what it says.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// start starts another process, after change has had its way with it.
func start(t *testing.T, role, path string, change ...func(*exec.Cmd)) *process {
	t.Helper()
	inRead, inWrite := pipe(t)
	outRead, outWrite := pipe(t)
	cmd := command(role, path, inRead, outWrite)
	for _, f := range change {
		f(cmd)
	}
	must(t, cmd.Start())
	p := &process{t, cmd, inWrite, bufio.NewReader(outRead)}
	t.Cleanup(p.kill)
	inRead.Close()
	outWrite.Close()
	return p
}

func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) says(want string) {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if strings.TrimSpace(line) != want {
		p.t.Fatalf("the process said %q, %v; want %q", line, err, want)
	}
}
