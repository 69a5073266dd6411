// Package eta tells how much longer a job works, as a range.
//
//   - [Remaining]: the rest of a walk, from points of it.
//   - [Counted], [Density]: points from what a job knows of its walk, where rows come in
//     meanwhile or keys are not evenly spread.
//   - [Range.Then]: the rest of a job, of which the walk is one step.
//
// The package owns the forecast. It has no clock, no database and no state: whoever has the same
// samples, in the process of the job or in another, gets the same range. So there is
// no estimator to keep up to date, or to store, or to lose with a process; and a job that is paused
// has a range that does not move, since its samples do not. The caller owns the samples, and what is
// working time: pauses and closed windows are not.
//
// # Method
//
// The pace of a walk changes in stretches: rows that need no change go by 10 to 100 times faster,
// and a live load makes all others slower while it lasts. Nobody knows how long
// stretches are, so an average is off without saying by how much. Remaining draws futures from
// the past by a circular block bootstrap with blocks of random, geometric length (D. N. Politis, J. P. Romano:
// A Circular Block-Resampling Procedure for Stationary Data, 1992; The Stationary Bootstrap, 1994), with three changes:
//
//   - The mean length of a block runs from one piece of the past to half of it, since nothing
//     that is seen early on tells the right one.
//   - The first block is the latest one, so that near its end a walk is
//     forecast by the pace of now, at its beginning by that of all the past.
//   - The past is a sample, too, and a short one says little: the spread of the futures is
//     widened by what is left over what is known, and once more where it is wide.
//
// A trend between the halves of the past widens the range to its side, and a margin stands for
// what has not been seen yet. Smoothing is not needed on top: each bound is a quantile over
// 200 futures, made of the whole past.
//
// Close to the end of a walk over stretches the range is wide, since either pace may be that of the rest: at
// 95 % high is 10 to 17 times low there, and 2.2 times in the median over all walks.
//
// It cannot foresee what has left no trace: a load that comes for the first time, a cap that is
// tuned, one long stretch at the end. TestCoverage says how often the true time lies in the range.
//
// # Samples
//
// The past has to reach back to the beginning of the walk (or of the cap that holds): with the
// latest ten minutes alone a long walk over stretches is held in the range three times of
// four instead of nine of ten. One sample for each 1/256 of the walk, kept for good, beside one a second for ten minutes is enough:
// package pace keeps these.
package eta
