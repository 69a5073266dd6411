package engine

import "context"

// estimateImages tells about how much room the image of a row takes, for a job that keeps some.
func (r *dryRun) estimateImages(ctx context.Context) error {
	if !r.spec.KeepBefore {
		return nil
	}
	q := r.e.readQuerier()
	set, err := r.describeImages(ctx, q)
	if err != nil {
		return err
	}
	r.result.ImageBytes, err = set.Estimate(ctx, q, r.table.Key)
	return err
}
