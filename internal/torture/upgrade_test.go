package torture_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Databases that an earlier version left, each in another state; see the README there.
const earlier = "testdata/v1"

// leftBehind is such a database, and what must become of it.
type leftBehind struct {
	name string
	job  jobs.Job

	ledger      string // "" for a migration that it does not know
	phase       checkpoint.Phase
	control     checkpoint.Control
	rows        int64 // scanned
	quarantined int

	then func(*upgraded)
}

// upgraded is a copy of one under the present engine.
type upgraded struct {
	leftBehind
	t    *testing.T
	path string
	was  engine.Status // as it was left
	said []checkpoint.Event

	batches []int  // rows of each batch of the present engine
	beside  string // what the application does after the first of them
}

// TestUpgrade has the present engine go on with what an earlier version left in the
// middle: what was done is not done again, what is left is done, and ledger and record
// agree at the end.
//
// Planted and caught, by at least the state that is named: the fingerprint by rule 1 over
// the table's folded name (verifying), or without the names of one letter (walking); a
// cursor that is ignored (walking); tuned values (tuned) or a pause (paused) that are; a second
// pass taken for a first (second-pass); a row that is released from quarantine by its key
// as it would be written now (key-text).
func TestUpgrade(t *testing.T) {
	var named []string
	for _, l := range slices.Concat(leftOnTheWay, leftAsked, leftEnded, leftDiffering, leftOfEachKind) {
		named = append(named, l.name)
		t.Run(l.name, func(t *testing.T) {
			u := &upgraded{leftBehind: l, t: t, path: unpack(t, l.name)}
			u.look()
			l.then(u)
			u.whole()
		})
	}

	files, err := filepath.Glob(filepath.Join(earlier, "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".gz")
		if !strings.HasSuffix(name, "-wal") && !slices.Contains(named, name) {
			t.Errorf("nothing is tested of %s", name)
		}
	}
}

// unpack copies a database, and the log that a killed process left beside it.
func unpack(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.db")
	for _, suffix := range []string{"", "-wal"} {
		f, err := os.Open(filepath.Join(earlier, name+suffix+".gz"))
		if suffix != "" && errors.Is(err, fs.ErrNotExist) {
			continue // it ended in good order
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// look checks that the job is in the state that the test is about.
func (u *upgraded) look() {
	u.t.Helper()
	u.was = u.status()
	got := []any{u.was.Ledger, u.was.Phase, u.was.Request.Control, u.was.Rows, len(u.was.Quarantine)}
	want := []any{u.ledger, u.phase, u.control, u.rows, u.quarantined}
	if !reflect.DeepEqual(got, want) {
		u.t.Fatalf("the database was left with %v, want %v", got, want)
	}
	u.said = u.events()
}

// do calls fn with an engine of its own, as a process would, and returns its error. A
// batch has at most 20 rows.
func (u *upgraded) do(cfg engine.Config, fn func(*engine.Engine) error) error {
	u.t.Helper()
	db := openFile(u.t, u.path)
	defer db.Close()

	if cfg.MaxRate == 0 {
		cfg.MaxRate = 200
	}
	cfg.Actor, cfg.MinFree = "the service of now", -1
	u.batches = nil
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && h.Rows > 0 {
			u.batches = append(u.batches, h.Rows)
			if len(u.batches) == 1 && u.beside != "" {
				mustExec(u.t, db, u.beside)
			}
		}
	}
	eng, err := engine.New(db, cfg)
	if err != nil {
		u.t.Fatal(err)
	}
	defer eng.Close()
	return fn(eng)
}

func (u *upgraded) run() error {
	u.t.Helper()
	return u.do(engine.Config{}, func(eng *engine.Engine) error {
		_, err := eng.Run(u.t.Context(), u.job)
		return err
	})
}

func (u *upgraded) retry() error {
	u.t.Helper()
	return u.do(engine.Config{}, func(eng *engine.Engine) error {
		_, err := eng.Retry(u.t.Context(), u.job)
		return err
	})
}

// exec is what the application does to its data.
func (u *upgraded) exec(statement string) {
	u.t.Helper()
	db := openFile(u.t, u.path)
	defer db.Close()
	mustExec(u.t, db, statement)
}

func (u *upgraded) status() engine.Status {
	u.t.Helper()
	db := openFile(u.t, u.path)
	defer db.Close()
	s, err := engine.ReadStatus(u.t.Context(), db, "job")
	if err != nil {
		u.t.Fatal(err)
	}
	return s
}

func (u *upgraded) events() []checkpoint.Event {
	u.t.Helper()
	db := openFile(u.t, u.path)
	defer db.Close()
	if version, err := checkpoint.Version(u.t.Context(), db); err != nil || version == 0 {
		return nil // it was registered and no more
	}
	events, err := checkpoint.Events(u.t.Context(), db, "job", checkpoint.MaxEvents)
	if err != nil {
		u.t.Fatal(err)
	}
	return events
}

func (u *upgraded) want(query, want string) {
	u.t.Helper()
	db := openFile(u.t, u.path)
	defer db.Close()
	if got := value(u.t, db, query); got != want {
		u.t.Errorf("%s: %s, want %s", query, got, want)
	}
}

func (u *upgraded) wantErr(err, want error) {
	u.t.Helper()
	if !errors.Is(err, want) {
		u.t.Errorf("error %v, want %v", err, want)
	}
}

// wantRan checks how many rows the present engine passed in its last run.
func (u *upgraded) wantRan(want int) {
	u.t.Helper()
	sum := 0
	for _, n := range u.batches {
		sum += n
	}
	if sum != want {
		u.t.Errorf("%d rows were passed, in batches of %v, want %d", sum, u.batches, want)
	}
}

// wantEnd checks what ledger and record say.
func (u *upgraded) wantEnd(ledger string, phase checkpoint.Phase) engine.Status {
	u.t.Helper()
	s := u.status()
	if s.Ledger != ledger || s.Phase != phase {
		u.t.Errorf("the ledger says %s and the record %s, want %s and %s", s.Ledger, s.Phase, ledger, phase)
	}
	if (s.Error != "") != (phase == checkpoint.Failed) {
		u.t.Errorf("a job that is %s has the error %q", phase, s.Error)
	}
	return s
}

// wantKept checks that nothing has happened to the rows and to where the job stands.
func (u *upgraded) wantKept() {
	u.t.Helper()
	u.wantRan(0)
	now := u.status()
	got := []any{now.Cursor, now.Pass, now.Rows, now.Changed, now.Quarantine, now.Request.Tuning}
	want := []any{u.was.Cursor, u.was.Pass, u.was.Rows, u.was.Changed, u.was.Quarantine, u.was.Request.Tuning}
	if !reflect.DeepEqual(got, want) {
		u.t.Errorf("now the job stands at\n%v, want\n%v", got, want)
	}
}

// whole checks what holds in the end whatever the state: the trail goes on, and the file
// is sound.
func (u *upgraded) whole() {
	u.t.Helper()
	u.want("PRAGMA integrity_check", "ok")
	if now := u.events(); len(now) < len(u.said) || !slices.Equal(now[:len(u.said)], u.said) {
		u.t.Errorf("the audit trail was\n%v and is\n%v", u.said, now)
	}
}

// upTo tells when the engine has recorded something, by its message.
type upTo struct {
	slog.Handler
	message string
	reached chan struct{}
}

func newUpTo(message string) *upTo {
	return &upTo{Handler: slog.DiscardHandler, message: "chunkfill: " + message, reached: make(chan struct{}, 1)}
}

// before waits until the message has come, and reports whether that was before wait
// returned.
func (h *upTo) before(wait func()) bool {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait()
	}()
	select {
	case <-h.reached:
		return true
	case <-ended:
		return false
	}
}

func (h *upTo) Enabled(context.Context, slog.Level) bool { return true }
func (h *upTo) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *upTo) WithGroup(string) slog.Handler            { return h }

func (h *upTo) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		select {
		case h.reached <- struct{}{}:
		default:
		}
	}
	return nil
}
