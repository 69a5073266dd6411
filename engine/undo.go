package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// UndoResult is what an undo has done.
type UndoResult struct {
	Name     string   // of the job that was undone
	PutBack  int64    // rows that are as they were before the job
	NotBack  []Reason // why others are not: all reasons, also those of no row
	Triggers []string // of the table, which may have fired for each row
}

// Reason is why rows were not put back, and how many.
type Reason struct {
	Name, Words string
	Rows        int64
}

// NotPutBack returns how many rows are not as they were before the job.
func (r UndoResult) NotPutBack() (rows int64) {
	for _, reason := range r.NotBack {
		rows += reason.Rows
	}
	return rows
}

// words is the result for people.
func (r UndoResult) words() string {
	text := fmt.Sprintf("%d rows put back, %d not", r.PutBack, r.NotPutBack())
	var why []string
	for _, reason := range r.NotBack {
		if reason.Rows > 0 {
			why = append(why, fmt.Sprintf("%d: %s", reason.Rows, reason.Words))
		}
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, "; ") + ")"
	}
	return text
}

// Undo puts the rows back that a job with KeepBefore has changed, in batches, as a job of its
// own under [UndoName]; it waits for its end. A row is put back if it has the very key, what the job
// wrote still stands in it, and no other column was written since; all others stay as they are,
// and [Engine.NotPutBack] lists them. Values are compared by type and bytes.
//
// The job is then undone: only Retry runs it again. An undo that was interrupted goes on when
// it is called again; one that came to its end tries the rows that are left once more.
//
// It returns ErrUnknownJob; ErrOwned while somebody runs the job, or its undo; ErrNoImages;
// ErrWrittenSince; ErrTableChanged; and what Run does.
func (e *Engine) Undo(ctx context.Context, name string) (r UndoResult, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return r, err
	}
	defer leave(&err)
	if _, err := e.undoable(ctx, e.readQuerier(), name); err != nil {
		return r, err
	}
	err = e.store.Exclusive(ctx, name, func(ctx context.Context) error {
		r, err = e.undo(ctx, name)
		return err
	})
	if errors.Is(err, asyncmig.ErrOwned) {
		err = e.naming(ctx, err)
	}
	return r, err
}

// Undoable returns why a job could not be undone now, as [Engine.Undo] does. Whether somebody
// runs it is not looked at.
func (e *Engine) Undoable(ctx context.Context, name string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	_, err = e.undoable(ctx, e.readQuerier(), name)
	return err
}

// undo is Undo for whoever owns the job.
func (e *Engine) undo(ctx context.Context, name string) (r UndoResult, err error) {
	set, err := e.undoable(ctx, e.readQuerier(), name)
	if err != nil {
		return r, err
	}
	r.Name = name
	if r.Triggers, err = images.Triggers(ctx, e.readQuerier(), set.Table); err != nil {
		return r, err
	}

	// The ledger first: a job whose record says that it is undone does not run again.
	by := fmt.Sprintf("%v: by %s", ErrUndone, e.cfg.Actor)
	if err := e.store.Revoke(ctx, name, by); err != nil {
		return r, err
	}
	if err := e.write(ctx, func(ctx context.Context, c lite.Querier) error { return e.beginUndo(ctx, c, name, by) }); err != nil {
		return r, err
	}
	status, err := e.Run(ctx, undoJob{of: name, set: set})
	r.PutBack = status.Changed
	if countErr := e.countLeft(ctx, set, &r); err == nil {
		err = countErr
	}
	if err != nil {
		return r, err
	}
	return r, e.write(ctx, func(ctx context.Context, c lite.Querier) error { return e.endUndo(ctx, c, set, r) })
}

// undoable returns the images of a job that can be undone.
func (e *Engine) undoable(ctx context.Context, q lite.Querier, name string) (set images.Set, err error) {
	cp, err := record.Load(ctx, q, name)
	if err != nil {
		return set, err
	}
	all, err := record.ListImages(ctx, q)
	if err != nil {
		return set, err
	}
	later := 0
	for i, kept := range all {
		if kept.Name == name {
			if set, err = images.Decode(kept.Table, kept.About); err != nil {
				return set, err
			}
			later = i + 1
		}
	}
	switch {
	case later == 0 && slices.ContainsFunc(cp.Steps, func(s chunkfill.Step) bool { return s.Kind == chunkfill.Once }):
		return set, fmt.Errorf("%w: of %s; jobs of its kind keep none, and while it is not done, a cancel takes back what it has made", ErrNoImages, name)
	case later == 0:
		return set, fmt.Errorf("%w: of %s; it ran without KeepBefore (--keep-before), they were removed, or all its rows are put back already", ErrNoImages, name)
	}
	for _, kept := range all[later:] {
		if err := writtenSince(ctx, q, name, set, kept); err != nil {
			return set, err
		}
	}
	_, err = undoSource(ctx, q, set)
	return set, err
}

// writtenSince refuses an undo where a later job, which is not undone, wrote the same columns.
func writtenSince(ctx context.Context, q lite.Querier, name string, set images.Set, kept record.Images) error {
	other, err := images.Decode(kept.Table, kept.About)
	if err != nil || !other.Writes(set) {
		return err
	}
	if cp, err := record.Load(ctx, q, kept.Name); err == nil && cp.Phase == chunkfill.Undone {
		return nil
	}
	what := strings.Join(set.Shared(other), ", ")
	if other.Delete {
		what = "rows, which it deleted"
	}
	return fmt.Errorf("%w: %s, which began after %s, wrote %s of %s; undo %[2]s first, or remove its images (forget --undo-data)",
		ErrWrittenSince, kept.Name, name, what, set.Table)
}

// beginUndo records that a job is being undone. What an earlier undo has left is forgotten
// once that is at its end, so that this one begins at the first image.
func (e *Engine) beginUndo(ctx context.Context, c lite.Querier, name, by string) error {
	cp, err := record.Load(ctx, c, name)
	if err != nil {
		return err
	}
	to, err := loop.Outside(cp, loop.UndoAsked)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrEnded, name, err)
	}
	if err := forgetUndoTx(ctx, c, name); err != nil {
		return err
	}
	if err := record.UndoneTx(ctx, c, name, string(to.Phase), by+"; its undo is not at its end"); err != nil {
		return err
	}
	return e.note(ctx, c, name, "undo", "its rows are put back by "+UndoName(name))
}

// endUndo records what an undo came to, and drops the table of images if it is empty.
func (e *Engine) endUndo(ctx context.Context, c lite.Querier, set images.Set, r UndoResult) error {
	if r.NotPutBack() == 0 {
		if err := dropImages(ctx, c, set, r.Name); err != nil {
			return err
		}
	}
	said := fmt.Sprintf("by %s: %s", e.cfg.Actor, r.words())
	if err := record.UndoneTx(ctx, c, r.Name, string(chunkfill.Undone), said); err != nil {
		return err
	}
	return e.note(ctx, c, r.Name, "undone", r.words())
}

func dropImages(ctx context.Context, c lite.Querier, set images.Set, name string) error {
	if _, err := c.ExecContext(ctx, "DROP TABLE "+lite.Main(set.Images)); err != nil {
		return fmt.Errorf("drop the images of %s: %w", name, err)
	}
	return record.DropImagesTx(ctx, c, name)
}

// countLeft counts the rows that were not put back, by reason.
func (e *Engine) countLeft(ctx context.Context, set images.Set, r *UndoResult) error {
	counts, err := set.Count(context.WithoutCancel(ctx), e.readQuerier())
	for _, reason := range images.Reasons {
		r.NotBack = append(r.NotBack, Reason{Name: reason.Name, Words: reason.Words, Rows: counts[reason.State]})
	}
	return err
}

// NotPutBack is a row that an undo has left as it is.
type NotPutBack struct {
	Key    string // its values as SQL has them
	Reason string // one word, see UndoResult
	Error  string // what the database said, where it refused the row
}

// rowsPerList is how many images are read at once: a long read pins the write-ahead log.
const rowsPerList = 2000

// NotPutBack calls fn for each row that the undo of a job has not put back, in the order of
// their keys. It returns ErrNoImages where none is left, and the error of fn.
func (e *Engine) NotPutBack(ctx context.Context, name string, fn func(NotPutBack) error) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	q := e.readQuerier()
	set, key, upper, err := openImages(ctx, q, name)
	if err != nil {
		return err
	}
	words := map[int]string{}
	for _, reason := range images.Reasons {
		words[reason.State] = reason.Name
	}
	for cursor := (lite.Pos)(nil); upper != nil; {
		r, ok, err := key.Next(ctx, q, cursor, upper, rowsPerList)
		if err != nil || !ok {
			return err
		}
		rows, err := set.Rows(ctx, q, key, r)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if words[row.State] == "" {
				continue // no undo has come to it
			}
			if err := fn(NotPutBack{Key: row.Key.String(), Reason: words[row.State], Error: row.Error}); err != nil {
				return err
			}
		}
		cursor = r.End
	}
	return nil
}

// openImages finds the images of a job, and how they are walked.
func openImages(ctx context.Context, q lite.Querier, name string) (set images.Set, key lite.Key, upper lite.Pos, err error) {
	kept, found, err := record.FindImages(ctx, q, name)
	if err != nil {
		return set, key, nil, err
	}
	if !found {
		return set, key, nil, fmt.Errorf("%w: of %s", ErrNoImages, name)
	}
	if set, err = images.Decode(kept.Table, kept.About); err != nil {
		return set, key, nil, err
	}
	table, err := lite.LoadTable(ctx, q, set.Images)
	if err != nil {
		return set, key, nil, err
	}
	_, upper, err = table.Key.Bounds(ctx, q)
	return set, table.Key, upper, err
}

// rowsPerDiscard is how many images are removed in one short transaction.
const rowsPerDiscard = 500

// ForgetUndoData removes the images of a job that is at its end, in short transactions, and
// nothing else: it can then no longer be undone.
//
// It returns ErrUnknownJob; ErrNoImages; ErrImages for a job that is not at its end; ErrOwned
// while somebody runs it, or its undo; ErrMoved and ErrClosed.
func (e *Engine) ForgetUndoData(ctx context.Context, name string) (removed int64, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return 0, err
	}
	defer leave(&err)
	if _, err := record.Load(ctx, e.readQuerier(), name); err != nil {
		return 0, err
	}
	err = e.store.Exclusive(ctx, name, func(ctx context.Context) error {
		for over := false; !over && err == nil; {
			began := time.Now()
			var n int
			err = e.write(ctx, func(ctx context.Context, c lite.Querier) (err error) {
				n, over, err = e.discardSome(ctx, c, name)
				return err
			})
			removed += int64(n)
			if err == nil && !over {
				err = sleep(ctx, time.Since(began)) // others want to write, too
			}
		}
		return err
	})
	return removed, err
}

// discardSome removes the next images, and their table with the last.
func (e *Engine) discardSome(ctx context.Context, c lite.Querier, name string) (n int, over bool, err error) {
	cp, err := record.Load(ctx, c, name)
	if err != nil {
		return 0, false, err
	}
	if cp.Phase != chunkfill.Done && cp.Phase != chunkfill.Cancelled && cp.Phase != chunkfill.Undone {
		return 0, false, fmt.Errorf("%w: job %s is %s: bring it to its end, or cancel it, before they are removed", ErrImages, name, cp.Phase)
	}
	set, key, upper, err := openImages(ctx, c, name)
	if err != nil {
		return 0, false, err
	}
	if upper != nil {
		r, ok, err := key.Next(ctx, c, nil, upper, rowsPerDiscard)
		if err != nil || ok {
			return r.Rows, false, errors.Join(err, images.Discard(ctx, c, key, r))
		}
	}
	if err := dropImages(ctx, c, set, name); err != nil {
		return 0, false, err
	}
	return 0, true, e.note(ctx, c, name, "undo data removed", set.Images)
}

// undoJob is the job that puts the rows of another back.
type undoJob struct {
	of  string
	set images.Set
}

// Spec implements [jobs.Job].
func (u undoJob) Spec() jobs.Spec {
	return jobs.Spec{Kind: jobs.KindUpdate, Name: UndoName(u.of), Table: u.set.Table}
}

func (u undoJob) program() *program {
	return &program{
		definition: fmt.Sprintf("put back what %s was before %s (%s)", u.set.Table, u.of, u.set.Images),
		steps: []step{{
			Step: chunkfill.Step{Name: "put back", Kind: chunkfill.Walk},
			rows: jobs.Spec{Kind: jobs.KindUpdate, Table: u.set.Images}, back: &u.set,
		}},
	}
}
