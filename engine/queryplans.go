package engine

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// QueryPlan is a query of the application, and SQLite's plan for it.
type QueryPlan struct {
	Query string   `json:"query"`
	Plan  []string `json:"plan"`
	Uses  bool     `json:"uses"` // whether it reads an index that the job makes
}

// QueryPlans returns the plans of a job's Queries as they are now: once the job is done, whether
// its index is used. It runs no query.
//
// It returns ErrSpec for a job that has no Queries, ErrFragment for a query that does not compile, and ErrClosed.
func (e *Engine) QueryPlans(ctx context.Context, job jobs.Job) (plans []QueryPlan, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return nil, err
	}
	defer leave(&err)
	if kind := job.Spec().Kind; kind != jobs.KindRebuild && kind != jobs.KindIndex {
		return nil, fmt.Errorf("%w %s: a job of this kind has no Queries", jobs.ErrSpec, job.Spec().Name)
	}

	return newRebuild(job).plansAsTheyAre(ctx, e.readQuerier())
}

func (r rebuild) plansAsTheyAre(ctx context.Context, q lite.Querier) (plans []QueryPlan, err error) {
	made := reshape.NewIndexes(r.spec.Schema)
	for _, query := range r.spec.Queries {
		plan, err := reshape.QueryPlan(ctx, q, query)
		if err != nil {
			return nil, err
		}
		plans = append(plans, QueryPlan{query, plan, reshape.Uses(plan, made)})
	}
	return plans, nil
}
