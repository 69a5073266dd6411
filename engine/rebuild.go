package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/internal/sorted"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

// rebuild is the program of a jobs.Rebuild or a jobs.Index.
type rebuild struct {
	spec   jobs.Spec
	wanted reshape.Wanted
}

func init() {
	programs[jobs.KindRebuild] = func(job jobs.Job) *program { return newRebuild(job).program() }
	programs[jobs.KindIndex] = programs[jobs.KindRebuild]
}

func newRebuild(job jobs.Job) rebuild {
	spec := job.Spec()
	r := rebuild{spec, reshape.Wanted{Table: spec.Table, Schema: spec.Schema, Queries: spec.Queries, Index: spec.Kind == jobs.KindIndex, Twin: spec.Twin}}
	for _, a := range spec.Set {
		r.wanted.Set = append(r.wanted.Set, lite.Assign(a))
	}
	return r
}

// program is the steps of the job.
func (r rebuild) program() *program {
	once := func(name string, fn func(context.Context, lite.Querier) (made, error)) step {
		return step{Step: chunkfill.Step{Name: name, Kind: chunkfill.Once}, once: fn}
	}
	walk := func(name string, load func(context.Context, lite.Querier, *step) error) step {
		return step{Step: chunkfill.Step{Name: name, Kind: chunkfill.Walk}, load: load, intact: r.intact, abandon: reshape.Unwatch(r.spec.Table)}
	}
	swap := once("swap", r.drained(r.swap))
	swap.NoReturn, swap.abandon = true, reshape.Unwatch(r.spec.Table)
	swap.request, swap.due, swap.meanwhile = record.RequestSwap, r.logged, r.replay
	var wrong error
	swap.waits, wrong = waitsForSwap(r.spec)
	steps := []step{
		once("shadow", r.shadow),
		walk("copy", r.copying),
		{Step: chunkfill.Step{Name: "compare", Kind: chunkfill.Verify, Of: "copy"}},
		walk("catch up", r.catchUp),
	}
	if !r.spec.Twin {
		settle, attach := once("settle", r.drained(r.settle)), once("attach", r.attach)
		settle.abandon, attach.abandon = reshape.Unwatch(r.spec.Table), reshape.Unwatch(r.spec.Table)
		steps = append(steps, settle, walk("indexes", r.building), step{Step: chunkfill.Step{Name: "count", Kind: chunkfill.Verify, Of: "indexes"}},
			attach, walk("catch up again", r.catchUp))
	}
	steps = append(steps, swap)
	if !r.spec.KeepOld {
		empty := walk("empty", r.empty)
		empty.intact, empty.abandon = nil, nil
		steps = append(steps, empty)
		if r.spec.Twin {
			steps = append(steps, step{Step: chunkfill.Step{Name: "check", Kind: chunkfill.Verify, Of: "empty"}})
		}
		steps = append(steps, once("drop", r.drop))
	}
	p := &program{definition: r.describe(), wrong: wrong, steps: steps, rehearse: r.rehearse}
	if r.wanted.Index {
		p.present = r.wanted.Present
	}
	return p
}

// describe has all that makes the job what it is.
func (r rebuild) describe() string {
	text := strings.TrimSpace(r.spec.Schema)
	if !r.wanted.Index {
		text = "REBUILD " + text
	}
	for _, a := range r.spec.Set {
		text += fmt.Sprintf(" SET %s = %s", a.Column, a.Expr)
	}
	if r.spec.KeepOld {
		text += " KEEP OLD"
	}
	if r.wanted.Twin {
		text += " BY A TWIN"
	}
	return text
}

// shape is the table as it is, and as it is to be, once the shadow is there.
func (r rebuild) shape(ctx context.Context, q lite.Querier) (*reshape.Shape, error) {
	if err := r.intact(ctx, q); err != nil {
		return nil, err
	}
	s, err := r.wanted.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	return &s, s.Resume(ctx, q)
}

// pinned is the step under whose name the record keeps what must stay as it is.
const pinned = "swap"

// intact looks whether the table, and what the job has made beside it, are what they were when it
// began: without a trigger of ours a live write would be lost.
func (r rebuild) intact(ctx context.Context, q lite.Querier) error {
	begun, err := record.Load(ctx, q, r.spec.Name)
	if err != nil {
		return err
	}
	now, err := reshape.Text(ctx, q, r.spec.Table)
	if err == nil && begun.Pins[pinned] != digest(now) {
		err = fmt.Errorf("%w: %s has another shape or other indexes than when the job began, or what the job made beside it is another; "+
			"cancel the job, and begin a new one under another name", ErrTableChanged, r.spec.Table)
	}
	return err
}

func (r rebuild) shadow(ctx context.Context, q lite.Querier) (made, error) {
	s, err := r.wanted.Load(ctx, q)
	if err != nil {
		return made{}, err
	}
	back, err := s.Create(ctx, q)
	if err != nil {
		return made{}, err
	}
	text, err := reshape.Text(ctx, q, s.Table)
	return made{back: back.Statements, part: back.Repeat, pins: map[string]string{pinned: digest(text)}}, err
}

func (r rebuild) copying(ctx context.Context, q lite.Querier, to *step) error {
	s, err := r.shape(ctx, q)
	if err != nil {
		return err
	}
	if s.Grafts() {
		return r.buildingOn(ctx, q, s, to)
	}
	insert := s.Insert()
	rows := reshape.Copier{Shape: s}
	to.rows, to.insert = jobs.Spec{Table: r.spec.Table, Todo: rows.Differs()}, &insert
	to.also = &jobs.Spec{Table: reshape.ShadowTable(s.Table), Todo: rows.Orphaned()}
	to.apply = func(ctx context.Context, c lite.Querier, b stretch) (int, error) {
		return rows.Copy(ctx, c, b.statement, b.where, b.Range, b.again)
	}
	return nil
}

// settle makes what the indexes of the shadow are built on. The log is drained: the shadow holds the rows of
// the table as they are.
func (r rebuild) settle(ctx context.Context, q lite.Querier, s *reshape.Shape) (made, error) {
	back, err := reshape.Indexes{Shape: s}.Create(ctx, q)
	return made{back: back.Statements, part: back.Repeat}, err
}

// building builds indexes in the order of their entries.
func (r rebuild) building(ctx context.Context, q lite.Querier, to *step) error {
	s, err := r.shape(ctx, q)
	if err != nil {
		return err
	}
	return r.buildingOn(ctx, q, s, to)
}

func (r rebuild) buildingOn(ctx context.Context, q lite.Querier, s *reshape.Shape, to *step) error {
	indexes, err := reshape.Indexes{Shape: s}.Load(ctx, q)
	if err != nil {
		return err
	}
	// The walk is over entries, not over rows; the plan of each walk has a table all the same.
	to.rows = jobs.Spec{Kind: jobs.KindDelete, Table: reshape.LogTable(s.Table), Where: "0", Todo: "0"}
	build := &sorted.Build{Indexes: indexes, Still: !s.Grafts()}
	to.source = build
	if s.Grafts() {
		to.also = &jobs.Spec{Table: s.Table, Todo: reshape.Copier{Shape: s}.Differs()}
		return nil
	}
	to.counts = func(ctx context.Context, e *Engine) (int64, error) { return build.Lacking(ctx, e.readQuerier()) }
	return nil
}

func (r rebuild) attach(ctx context.Context, q lite.Querier) (made, error) {
	s, err := r.shape(ctx, q)
	if err != nil {
		return made{}, err
	}
	return made{}, reshape.Indexes{Shape: s}.Attach(ctx, q)
}

func (r rebuild) catchUp(ctx context.Context, q lite.Querier, to *step) error {
	s, err := r.shape(ctx, q)
	if err != nil {
		return err
	}
	log, err := lite.LoadTable(ctx, q, reshape.LogTable(s.Table))
	if err != nil {
		return err
	}
	to.rows = jobs.Spec{Kind: jobs.KindDelete, Table: log.Name, Where: "1"}
	to.apply = func(ctx context.Context, c lite.Querier, b stretch) (int, error) {
		return reshape.Copier{Shape: s}.Replay(ctx, c, log.Key, b.Range)
	}
	return nil
}

func (r rebuild) swap(ctx context.Context, q lite.Querier, s *reshape.Shape) (made, error) {
	return made{}, s.Swap(ctx, q)
}

const (
	replayAtOnce = 40 // entries of the log in one hold: with five indexes they take 3 ms
	replayedFew  = 10 // so few, and there is time for something else in the same hold
	replaysFew   = 20 // holds that each replayed more: live writes are too many, and longer holds have to do
)

// drained is a step that is made as soon as nothing is left in the log, in a hold that is not long for it.
func (r rebuild) drained(then func(context.Context, lite.Querier, *reshape.Shape) (made, error)) func(context.Context, lite.Querier) (made, error) {
	holds := 0
	return func(ctx context.Context, q lite.Querier) (made, error) {
		s, err := r.shape(ctx, q)
		if err != nil {
			return made{}, err
		}
		most, few := replayAtOnce, replayedFew
		if holds++; holds > replaysFew {
			most, few = 10*replayAtOnce, 10*replayAtOnce
		}
		n, left, err := s.Drain(ctx, q, most)
		if err != nil || left || n > few {
			return made{again: err == nil}, brokenShape(err)
		}
		done, err := then(ctx, q, s)
		return done, brokenShape(err)
	}
}

// waitsForSwap tells whether the tables are not to change places yet; nil for as soon as they can.
func waitsForSwap(spec jobs.Spec) (func() bool, error) {
	if spec.SwapWindow == "" {
		if !spec.HoldSwap {
			return nil, nil
		}
		return func() bool { return true }, nil
	}
	window, err := throttle.ParseWindow(spec.SwapWindow)
	if err != nil {
		return nil, fmt.Errorf("SwapWindow: %w", err)
	}
	return func() bool {
		open, _ := window.Open(time.Now())
		return !open
	}, nil
}

// logged reports whether live writes have touched rows that are to be copied again.
func (r rebuild) logged(ctx context.Context, q lite.Querier) (some bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+lite.Main(reshape.LogTable(r.spec.Table))+")").Scan(&some)
	if lite.IsMissing(err) {
		return true, nil // replay tells what has become of it
	}
	return some, err
}

// replay copies some of those rows again.
func (r rebuild) replay(ctx context.Context, c lite.Querier) error {
	s, err := r.shape(ctx, c)
	if err != nil {
		return err
	}
	_, _, err = s.Drain(ctx, c, 2*replayAtOnce)
	return brokenShape(err)
}

func (r rebuild) empty(_ context.Context, _ lite.Querier, to *step) error {
	to.rows = jobs.Spec{Kind: jobs.KindDelete, Table: r.wanted.Rest(), Where: "1"}
	if r.spec.Twin {
		to.rows.Todo, to.counts = "0", r.checking
	}
	return nil
}

func (r rebuild) drop(ctx context.Context, q lite.Querier) (made, error) {
	for _, statement := range r.wanted.Dropped() {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return made{}, fmt.Errorf("%s: %w", statement, lite.Explain(err))
		}
	}
	return made{}, nil
}
