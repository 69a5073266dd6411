package requests_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/requests"
	"github.com/chunkfill/chunkfill/jobs"
)

// carrier takes requests away, and fails as often as it is told to.
type carrier struct {
	db *sql.DB

	mu    sync.Mutex
	looks int
	works bool // at the job
	fails int
	done  []record.Pending
}

func (c *carrier) Rests(string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	return !c.works
}

func (c *carrier) CarryOut(ctx context.Context, _ jobs.Job, p record.Pending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, p)
	if c.fails > 0 {
		c.fails--
		return errors.New("not now")
	}
	_, err := record.DropRequest(ctx, c.db, p.Name, p.Request)
	return err
}

// set changes what the carrier does.
func (c *carrier) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// carried is how often something was carried out.
func (c *carrier) carried() (n int) {
	c.set(func() { n = len(c.done) })
	return n
}

// look waits until the listener has looked so many times more.
func (c *carrier) look(t *testing.T, times int) {
	t.Helper()
	var before int
	c.set(func() { before = c.looks })
	c.until(t, "a look", func() bool { return c.looks >= before+times })
}

// until waits for something to be so.
func (c *carrier) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; <-time.After(time.Millisecond) {
		var yes bool
		c.set(func() { yes = so() })
		if yes {
			return
		}
	}
	t.Fatalf("%s: not within a minute", what)
}

// TestListener: it hears what is asked after any number of looks, of its own jobs and while
// they rest, and once; what cannot be carried out it tries again; and after Close nothing.
// Planted and caught: a listener that looks once; one that does not look again at what had to
// wait; a request of another's job; a job at work that is not left alone.
func TestListener(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	must(t, err)
	reader, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(5000)")
	must(t, err)
	defer func() { must(t, errors.Join(reader.Close(), db.Close())) }()
	must(t, record.UpgradeTx(ctx, db))
	ask := func(name string) {
		t.Helper()
		must(t, record.PutRequest(ctx, db, record.Pending{Name: name, Request: record.RequestVerify, By: "ann", At: time.Now()}))
	}

	c := &carrier{db: db}
	l := requests.New(ctx, reader, c)
	defer l.Close()
	l.Listen(jobs.Delete{Name: "j", Table: "t"})
	for n := range 2 {
		c.look(t, 3)
		ask("other")
		ask("j")
		c.until(t, "carried out", func() bool { return len(c.done) == n+1 && c.done[n].Name == "j" })
	}

	c.set(func() { c.works = true })
	ask("j")
	c.look(t, 3)
	if n := c.carried(); n != 2 {
		t.Errorf("carried out %d times, the last while the job was at work", n)
	}
	c.set(func() { c.works, c.fails = false, 1 })
	c.until(t, "tried again", func() bool { return len(c.done) == 4 })
	c.look(t, 3)
	if n := c.carried(); n != 4 {
		t.Errorf("carried out %d times, want 4", n)
	}

	l.Close()
	ask("j")
	l.Listen(jobs.Delete{Name: "j", Table: "t"})
	if n := c.carried(); n != 4 {
		t.Errorf("carried out after Close")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
