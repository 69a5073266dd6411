package engine

import (
	"context"
	"slices"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// Prepare makes the statements of a pass: on the first they are those of the job, on a
// second only what verification found left, without the rows set aside.
func (w *walker) Prepare(ctx context.Context, cp chunkfill.Checkpoint) error {
	var aside []lite.Pos
	if w.newest == nil {
		var err error
		if aside, err = w.quarantined(ctx, w.e.guest); err != nil {
			return err
		}
	}
	w.setPass(cp.Pass, aside)
	w.cursor, w.copied = place{}, place{}
	return nil
}

func (w *walker) setPass(pass int, aside []lite.Pos) {
	w.pass = pass
	w.leaveOut(aside)
	w.compile()
}

// leaveOut sets which rows the statement passes over.
func (w *walker) leaveOut(aside []lite.Pos) {
	if w.aside != nil {
		w.aside.Close()
		w.aside = nil
	}
	if len(aside) > 0 {
		w.aside = openKeys(aside)
	}
}

func openKeys(places []lite.Pos) *rowfunc.Keys {
	keys := make([][]string, len(places))
	for i, p := range places {
		keys[i] = p
	}
	return rowfunc.OpenKeys(keys)
}

// compile makes the statements of the pass. The rows set aside are told first: the
// condition may be what fails on them.
func (w *walker) compile() {
	w.where = []string{w.spec.Where}
	switch {
	case w.newest != nil:
		w.where = w.newest.conds(w.table.Key, w.pass)
	case w.pass == 2:
		w.where = append(w.where, w.spec.Todo)
		if w.aside != nil {
			w.where = slices.Insert(w.where, 0, w.aside.Lacks(w.table.Key.Literals()))
		}
	}
	w.stmt, w.keeper = w.keeping(w.calls, w.where, true)
	w.brief, w.briefKeeper = w.keeping(w.calls, w.where, false)
}

// keeping returns the statement of a job that keeps images of its rows, and what keeps them.
// Where the condition may answer otherwise when it is asked again, as one that reads the clock
// does, the statement goes by the images, so that no row is changed without one.
func (r rewrite) keeping(calls *rowfunc.Calls, where []string, skips bool) (lite.Statement, *images.Keeper) {
	if r.images == nil {
		return r.statement(calls, where, skips), nil
	}
	conds := slices.Clone(where)
	asks := skips && r.spec.Kind == jobs.KindTransform
	if asks {
		conds = append(conds, calls.Changes(readsOf(r.spec)))
	}
	exprs := make([]string, len(r.spec.Set))
	for i, a := range r.spec.Set {
		exprs[i] = a.Expr
	}
	keeper := r.images.Keeper(images.Work{Key: r.table.Key, Conds: conds, Exprs: exprs, Args: r.spec.Args})

	if asks || !lite.Repeats(r.spec.Where) || !lite.Repeats(r.spec.Todo) {
		return r.statement(calls, []string{r.images.Chosen(conds)}, false), keeper
	}
	return r.statement(calls, where, false), keeper
}
