package engine_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// states are ways to bring an engine, on a table of some rows, and the job todoJob into a
// state.
var states = map[string]func(*testing.T, string) *engine.Engine{
	"unknown": func(t *testing.T, path string) *engine.Engine {
		return newEngine(t, openAt(t, path, numbers(30)...), sole)
	},
	"registered": func(t *testing.T, path string) *engine.Engine { // by a process that died before it began
		db := openAt(t, path, numbers(30)...)
		if err := asyncmig.NewStore(db, asyncmig.Config{}).EnsureTable(testContext(t)); err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, "INSERT INTO _async_migrations (name, status) VALUES ('inc', 'pending_async')")
		return newEngine(t, db, sole)
	},
	"running": func(t *testing.T, path string) *engine.Engine {
		cfg := sole
		cfg.MaxRate = 0.01
		e := newEngine(t, openAt(t, path, numbers(30)...), cfg)
		started(t, e)
		waitFor(t, e, "inc", 1)
		return e
	},
	"paused": func(t *testing.T, path string) *engine.Engine {
		e := newEngine(t, openAt(t, path, numbers(30)...), engine.Config{Window: closedWindow()})
		started(t, e)
		waitPhase(t, e, checkpoint.Waiting)
		if err := e.Pause(testContext(t), "inc", "test"); err != nil {
			t.Fatal(err)
		}
		waitPhase(t, e, checkpoint.Paused)
		return e
	},
	"done": func(t *testing.T, path string) *engine.Engine {
		e := newEngine(t, openAt(t, path, numbers(30)...), sole)
		started(t, e)
		e.Wait()
		return e
	},
	"failed": func(t *testing.T, path string) *engine.Engine {
		e := newEngine(t, openAt(t, path, failingRows()...), fewBad())
		started(t, e)
		e.Wait()
		return e
	},
	"cancelled": func(t *testing.T, path string) *engine.Engine {
		e := newEngine(t, openAt(t, path, failingRows()...), fewBad())
		started(t, e)
		e.Wait()
		mustExec(t, openAt(t, path), "DROP TRIGGER stop")
		if err := e.Cancel(testContext(t), "inc", "test"); err != nil {
			t.Fatal(err)
		}
		return e
	},
	"closed": func(t *testing.T, path string) *engine.Engine {
		e := newEngine(t, openAt(t, path, numbers(30)...), sole)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return e
	},
}

func todoJob() jobs.Update {
	job := increment("inc")
	job.Todo = "n = 0"
	return job
}

func started(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := e.Start(testContext(t), todoJob()); err != nil {
		t.Fatal(err)
	}
}

var (
	late = context.DeadlineExceeded // it waits for the job, as it should

	// What each method returns in each state; nothing where it is not listed.
	errorsIn = map[string]map[string]error{
		"unknown": {"Await": engine.ErrUnknownJob, "Cancel": engine.ErrUnknownJob, "Forget": engine.ErrUnknownJob, "Pause": engine.ErrUnknownJob,
			"PauseAll": engine.ErrUnknownJob, "RequestRetry": engine.ErrUnknownJob, "RequestVerify": engine.ErrUnknownJob,
			"Resume": engine.ErrUnknownJob, "Retry": engine.ErrUnknownJob, "Status": engine.ErrUnknownJob, "Tune": engine.ErrUnknownJob},
		"registered": {"Await": engine.ErrInterrupted, "Cancel": engine.ErrUnknownJob, "Forget": engine.ErrUnknownJob,
			"PauseAll": engine.ErrUnknownJob, "RequestRetry": engine.ErrUnknownJob, "RequestVerify": engine.ErrUnknownJob,
			"Pause": engine.ErrUnknownJob, "Resume": engine.ErrUnknownJob, "Retry": engine.ErrUnknownJob, "Tune": engine.ErrUnknownJob},
		"running": {"Await": late, "Forget": engine.ErrOwned, "RequestRetry": engine.ErrOwned, "RequestVerify": engine.ErrOwned,
			"Retry": engine.ErrOwned, "Run": engine.ErrOwned},
		"paused": {"Await": late, "Forget": engine.ErrOwned, "RequestRetry": engine.ErrOwned, "RequestVerify": engine.ErrOwned,
			"Retry": engine.ErrOwned, "Run": engine.ErrOwned},
		"done":   {"Cancel": engine.ErrEnded, "Pause": engine.ErrEnded, "RequestRetry": engine.ErrEnded, "Resume": engine.ErrEnded, "Tune": engine.ErrEnded},
		"failed": {"Await": engine.ErrFailed, "Retry": engine.ErrFailed, "Run": engine.ErrFailed},
		"cancelled": {"Await": engine.ErrCancelled, "Cancel": engine.ErrEnded, "DryRun": engine.ErrCancelled, "Pause": engine.ErrEnded,
			"Resume": engine.ErrEnded, "Run": engine.ErrCancelled, "Start": engine.ErrCancelled, "Tune": engine.ErrEnded, "RequestVerify": engine.ErrCancelled, "Verify": engine.ErrCancelled},
		"closed": {"Await": engine.ErrClosed, "Cancel": engine.ErrClosed, "DryRun": engine.ErrClosed, "Forget": engine.ErrClosed,
			"List": engine.ErrClosed, "PauseAll": engine.ErrClosed, "RequestRetry": engine.ErrClosed, "RequestVerify": engine.ErrClosed,
			"ResumeAll": engine.ErrClosed, "Pause": engine.ErrClosed, "Resume": engine.ErrClosed, "Retry": engine.ErrClosed, "Run": engine.ErrClosed,
			"Start": engine.ErrClosed, "Status": engine.ErrClosed, "Tune": engine.ErrClosed, "Verify": engine.ErrClosed},
	}

	errorNames = map[error]string{engine.ErrUnknownJob: "ErrUnknownJob", engine.ErrInterrupted: "ErrInterrupted", engine.ErrOwned: "ErrOwned",
		engine.ErrEnded: "ErrEnded", engine.ErrFailed: "ErrFailed", engine.ErrCancelled: "ErrCancelled", engine.ErrClosed: "ErrClosed", late: "ctx"}
)

// TestErrorsInEachState: each method in each state returns what its documentation names,
// and nothing that has no name. Planted and caught: "done already" without a name; a name
// taken out of a method's documentation.
func TestErrorsInEachState(t *testing.T) {
	docs := methodDocs(t)
	for state, enter := range states {
		for method := range calls(nil) {
			t.Run(state+"/"+method, func(t *testing.T) {
				e := enter(t, filepath.Join(t.TempDir(), "a.db"))
				want := errorsIn[state][method]
				ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
				if errors.Is(want, late) {
					ctx, cancel = context.WithTimeout(testContext(t), 20*time.Millisecond)
				}
				defer cancel()

				if err := calls(e)[method](ctx, todoJob()); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
				if name := errorNames[want]; !strings.Contains(docs[method], name) {
					t.Errorf("the documentation does not name %s", name)
				}
			})
		}
	}
}

// methodDocs are the comments of the exported methods of Engine.
func methodDocs(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.IsExported() {
				docs[f.Name.Name] += f.Doc.Text()
			}
		}
	}
	return docs
}
