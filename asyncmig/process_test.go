//go:build go1.25

package asyncmig_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// A child is this test binary run as a host of its own, told by lines on its
// standard input what to do; it answers each with a line.
const childDB = "CHUNKFILL_TEST_CHILD_DB"

func TestMain(m *testing.M) {
	if path := os.Getenv(childDB); path != "" {
		if err := childMain(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func openHost(path string, busyTimeout int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)", path, busyTimeout))
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func childMain(path string) error {
	db, err := openHost(path, 5000)
	if err != nil {
		return err
	}
	s, end := newStore(db), make(chan error)
	migration := func(ctx context.Context, db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "INSERT INTO runs (pid) VALUES (?)", os.Getpid()); err != nil {
			return err
		}
		fmt.Println("running", os.Getpid())
		return <-end
	}
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		switch orders.Text() {
		case "start":
			fmt.Println("started", s.RunAsyncMigration(context.Background(), "m", migration))
		case "succeed":
			end <- nil
		case "fail":
			end <- errors.New("bad row")
		case "stop":
			end <- fmt.Errorf("shutting down: %w", asyncmig.ErrKeepPending)
		case "wait":
			s.WaitForAsyncMigrations()
			fmt.Println("waited")
		case "lock":
			_, err := db.Exec("BEGIN IMMEDIATE")
			fmt.Println("locked", err)
		case "unlock":
			_, err := db.Exec("ROLLBACK")
			fmt.Println("unlocked", err)
		}
	}
	return nil
}

// family is some hosts of one database; what they say arrives on one pipe.
type family struct {
	t     testing.TB
	lines *bufio.Reader
	all   map[int]*child // by pid
}

type child struct {
	cmd    *exec.Cmd
	orders io.Writer
}

func newFamily(t testing.TB, path string, n int) *family {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	must(t, r.SetReadDeadline(time.Now().Add(30*time.Second))) // silence fails the test, it does not hang it
	f := &family{t, bufio.NewReader(r), map[int]*child{}}
	t.Cleanup(func() {
		for _, c := range f.all {
			c.kill()
		}
		r.Close()
	})
	for range n {
		f.add(path, w)
	}
	must(t, w.Close())
	return f
}

func (f *family) add(path string, out *os.File) {
	f.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDB+"="+path)
	cmd.Stdout, cmd.Stderr = out, out
	orders, err := cmd.StdinPipe()
	must(f.t, err)
	must(f.t, cmd.Start())
	f.all[cmd.Process.Pid] = &child{cmd, orders}
}

func (f *family) wantLine(want string) {
	f.t.Helper()
	if got := f.line(); got != want {
		f.t.Fatalf("a process says %q, want %q", got, want)
	}
}

func (f *family) line() string {
	f.t.Helper()
	line, err := f.lines.ReadString('\n')
	must(f.t, err)
	return strings.TrimSpace(line)
}

// start has all of them ask for the migration and returns the one that runs it.
func (f *family) start() (owner *child) {
	f.t.Helper()
	for _, c := range f.all {
		must(f.t, c.tell("start"))
	}
	for range len(f.all) + 1 {
		line := f.line()
		if line == "started <nil>" {
			continue
		}
		if owner != nil {
			f.t.Fatalf("there is an owner, and a process says %q", line)
		}
		owner = f.runs(line)
	}
	return owner
}

// runs is the process that says it runs the migration.
func (f *family) runs(line string) *child {
	f.t.Helper()
	var pid int
	if _, err := fmt.Sscanf(line, "running %d", &pid); err != nil {
		f.t.Fatalf("a process says %q, want that it is running", line)
	}
	return f.all[pid]
}

// finish ends the run of c and waits for it.
func (f *family) finish(c *child, how string) {
	f.t.Helper()
	must(f.t, c.tell(how))
	must(f.t, c.tell("wait"))
	f.wantLine("waited")
}

func (c *child) tell(order string) error {
	_, err := fmt.Fprintln(c.orders, order)
	return err
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // SIGKILL
	_ = c.cmd.Wait()
}

// shared returns a database with a table that counts runs.
func shared(t testing.TB) (path string, db *sql.DB) {
	t.Helper()
	db = open(t)
	mustExec(t, db, "CREATE TABLE runs (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL)")
	return value(t, db, "SELECT file FROM pragma_database_list"), db
}

// Planted and caught: the lock between processes left out (two run at once), and a
// WaitForAsyncMigrations that waits for standbys (silence).
func TestProcessesAtTheSameInstant(t *testing.T) {
	path, db := shared(t)
	f := newFamily(t, path, 4)
	owner := f.start()
	for _, c := range f.all {
		if c != owner {
			must(t, c.tell("wait")) // not for the standby
			f.wantLine("waited")
		}
	}
	wantStatus(t, newStore(db), "m", asyncmig.StatusPendingAsync)
	f.finish(owner, "succeed")
	wantStatus(t, newStore(db), "m", asyncmig.StatusDone)
	for _, c := range f.all {
		must(t, c.tell("start"))
		f.wantLine("started <nil>")
	}
	wantValue(t, db, "1", "SELECT count(*) FROM runs")
}

// Owners are killed one after the other; a standby replaces each, until the last
// one comes to the end.
func TestKilledOwnersAreReplaced(t *testing.T) {
	path, db := shared(t)
	f := newFamily(t, path, 3)
	owner := f.start()
	for range 2 {
		owner.kill()
		owner = f.runs(f.line())
		wantStatus(t, newStore(db), "m", asyncmig.StatusPendingAsync)
	}
	f.finish(owner, "succeed")
	wantStatus(t, newStore(db), "m", asyncmig.StatusDone)
	wantValue(t, db, "3,3", "SELECT count(*) || ',' || count(DISTINCT pid) FROM runs")
}

// withOwner runs the test of a standby in this process, on a clock of its own. The
// owner is a process that runs the migration already.
func withOwner(t *testing.T, test func(t *testing.T, f *family, owner *child, db *sql.DB)) {
	t.Helper()
	path, db := shared(t)
	must(t, db.Close())
	f := newFamily(t, path, 1)
	owner := f.start()
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, path)
		test(t, f, owner, db)
		must(t, db.Close())
	})
}

// pass lets some of a standby's turns go by.
func pass() {
	<-time.After(time.Second)
	synctest.Wait()
}

func wantStandbys(t testing.TB, s *asyncmig.Store, want int) {
	t.Helper()
	if got := s.Standbys(); got != want {
		t.Errorf("%d standbys, want %d", got, want)
	}
}

// A standby takes over from an owner that was killed, or that was shut down
// before its end, and WaitForAsyncMigrations waits for the run it has begun.
// Planted and caught: ErrKeepPending taken for a failure, a standby whose run
// WaitForAsyncMigrations does not see, and one that gives up after its first turn.
func TestStandbyTakesOver(t *testing.T) {
	for how, end := range map[string]func(*family, *child){
		"killed":    func(f *family, owner *child) { owner.kill() },
		"shut down": func(f *family, owner *child) { f.finish(owner, "stop") },
	} {
		t.Run(how, func(t *testing.T) {
			withOwner(t, func(t *testing.T, f *family, owner *child, db *sql.DB) {
				s, g := newStore(db), newGate()
				must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
				s.WaitForAsyncMigrations()
				pass()
				wantStandbys(t, s, 1)
				end(f, owner)
				since := time.Now()
				<-g.began
				if waited := time.Since(since); waited > 250*time.Millisecond {
					t.Errorf("it took %v to take over", waited)
				}
				wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
				go func() { g.end <- nil }()
				s.WaitForAsyncMigrations()
				wantStatus(t, s, "m", asyncmig.StatusDone)
				synctest.Wait() // the standby ends after the run that it begins has begun
				wantStandbys(t, s, 0)
			})
		})
	}
}

// A standby ends with its context at once, with the database or the migration at
// its next turn.
// Planted and caught: each of the ways out left away in turn.
func TestStandbyEnds(t *testing.T) {
	for how, end := range map[string]func(*family, *child, context.CancelFunc, *sql.DB){
		"context": func(_ *family, _ *child, cancel context.CancelFunc, _ *sql.DB) { cancel(); synctest.Wait() },
		"close":   func(_ *family, _ *child, _ context.CancelFunc, db *sql.DB) { db.Close(); pass() },
		"done":    func(f *family, owner *child, _ context.CancelFunc, _ *sql.DB) { f.finish(owner, "succeed"); pass() },
		"failed":  func(f *family, owner *child, _ context.CancelFunc, _ *sql.DB) { f.finish(owner, "fail"); pass() },
	} {
		t.Run(how, func(t *testing.T) {
			withOwner(t, func(t *testing.T, f *family, owner *child, db *sql.DB) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var c counter
				s := newStore(db)
				must(t, s.RunAsyncMigration(ctx, "m", c.run))
				synctest.Wait()
				wantStandbys(t, s, 1)
				end(f, owner, cancel, db)
				wantStandbys(t, s, 0)
				owner.kill()
				pass()
				c.want(t, 0)
			})
		})
	}
}

// A turn at which the database cannot be read must not end the standby: with a
// rollback journal every commit of the owner is such an instant.
// Planted and caught: any error of the status ends the standby.
func TestStandbyOutlastsALockedDatabase(t *testing.T) {
	withOwner(t, func(t *testing.T, f *family, owner *child, db *sql.DB) {
		s := newStore(db)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var c counter
		must(t, s.RunAsyncMigration(ctx, "m", c.run))
		owner.kill()
		mustExec(t, db, "PRAGMA journal_mode=delete")
		locker := openLocker(t, value(t, db, "SELECT file FROM pragma_database_list"))
		mustExec(t, locker, "BEGIN EXCLUSIVE")
		pass()
		wantStandbys(t, s, 1)
		mustExec(t, locker, "ROLLBACK")
		must(t, locker.Close())
		pass()
		s.WaitForAsyncMigrations()
		c.want(t, 1)
		wantStatus(t, s, "m", asyncmig.StatusDone)
	})
}

func openLocker(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	db.SetMaxOpenConns(1)
	return db
}

// What another process runs can be looked at, and nothing else.
// Planted and caught: a status probe that takes the lock.
func TestOwnedByAnotherProcess(t *testing.T) {
	path, db := shared(t)
	f := newFamily(t, path, 1)
	owner := f.start()
	s := newStore(db)
	wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
	before := value(t, db, row)
	var c counter
	for call, err := range map[string]error{
		"Run":       s.Run(t.Context(), "m", c.run),
		"Exclusive": s.Exclusive(t.Context(), "m", func(ctx context.Context) error { return c.run(ctx, nil) }),
		"Fail":      s.Fail(t.Context(), "m", "why"),
	} {
		var owned *asyncmig.OwnedError
		if !errors.As(err, &owned) || !errors.Is(err, asyncmig.ErrOwned) {
			t.Errorf("%s: %v, want an OwnedError", call, err)
		} else if want := fmt.Sprintf("pid %d on ", owner.cmd.Process.Pid); owned.Name != "m" || !strings.HasPrefix(owned.Owner, want) {
			t.Errorf("%s: %+v, want the owner to be %s…", call, owned, want)
		}
	}
	c.want(t, 0)
	wantValue(t, db, before, row)
	f.finish(owner, "succeed")
	wantErr(t, s.Run(t.Context(), "m", c.run), asyncmig.ErrDone)
}
