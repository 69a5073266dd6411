// Package stats holds the few statistics that benchmark results need.
package stats

import (
	"math"
	"slices"
)

// Median returns the median of values; NaN if there are none.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile returns a quantile (0 to 1) of values, interpolated between neighbors; NaN if
// there are none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Summary describes a sample.
type Summary struct {
	N                   int
	Min, Q1, Median, Q3 float64
	Max                 float64
}

// Summarize returns the summary of values; all fields are NaN if there are none.
func Summarize(values []float64) Summary {
	return Summary{
		N: len(values), Min: Quantile(values, 0), Q1: Quantile(values, 0.25),
		Median: Median(values), Q3: Quantile(values, 0.75), Max: Quantile(values, 1),
	}
}

// MannWhitney returns the two-sided probability that two samples of one
// distribution are as far apart in their ranks as a and b are. It is exact, also
// with ties: every way of dealing the values out to the samples is counted. 1 when
// a sample is empty.
//
// Mann, Whitney: On a test of whether one of two random variables is
// stochastically larger than the other (1947).
func MannWhitney(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	ranks := doubledRanks(a, b)
	total, observed := 0, 0
	for i, rank := range ranks {
		total += rank
		if i < len(a) {
			observed += rank
		}
	}
	mean := float64(total) * float64(len(a)) / float64(len(ranks))
	return tail(subsetSums(ranks, len(a)), mean, observed)
}

// doubledRanks ranks all values, a before b; ties share the mean of their ranks.
// Doubled, it is a whole number.
func doubledRanks(a, b []float64) []int {
	all := slices.Concat(a, b)
	ranks := make([]int, len(all))
	for i, v := range all {
		below, same := 0, 0
		for _, w := range all {
			if w < v {
				below++
			} else if w == v {
				same++
			}
		}
		ranks[i] = 2*below + same + 1
	}
	return ranks
}

// subsetSums counts, for every sum, the ways to choose n of the ranks that have it.
func subsetSums(ranks []int, n int) []float64 {
	total := 0
	for _, rank := range ranks {
		total += rank
	}
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for _, rank := range ranks {
		for k := n; k >= 1; k-- {
			for sum := total; sum >= rank; sum-- {
				ways[k][sum] += ways[k-1][sum-rank]
			}
		}
	}
	return ways[n]
}

// tail is the share of the ways whose sum is at least as far from the mean as the
// observed one.
func tail(ways []float64, mean float64, observed int) float64 {
	const rounding = 1e-9
	var all, far float64
	for sum, n := range ways {
		all += n
		if math.Abs(float64(sum)-mean) >= math.Abs(float64(observed)-mean)-rounding {
			far += n
		}
	}
	return far / all
}
