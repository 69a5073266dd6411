package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// scale maps values to 0..1 along an axis.
type scale struct {
	min, max float64 // of the values
	ticks    []tick
	place    func(v float64) float64 // monotonic; places min and max need not be 0 and 1
}

type tick struct {
	at    float64
	label string
}

// unit returns where v lies on the axis, clamped to it.
func (s scale) unit(v float64) float64 {
	low, high := s.place(s.min), s.place(s.max)
	return min(1, max(0, (s.place(max(v, s.min))-low)/(high-low)))
}

// linear is a scale from 0 to a round number that is not less than high.
func linear(high float64) scale {
	if !(high > 0) {
		high = 1
	}
	step := roundStep(high / 5)
	s := scale{min: 0, max: step * math.Ceil(high/step-1e-9), place: func(v float64) float64 { return v }}
	for i := 0; float64(i)*step <= s.max*(1+1e-9); i++ {
		v := float64(i) * step
		s.ticks = append(s.ticks, tick{v, number(v)})
	}
	return s
}

// roundStep is the next of 1, 2, 5, 10, … that is not less.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logarithmic spans whole powers of ten around low and high.
func logarithmic(low, high float64) scale {
	if !(low > 0) || !(high >= low) {
		low, high = 1, 10
	}
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if to == from {
		to++
	}
	s := scale{min: math.Pow(10, from), max: math.Pow(10, to), place: math.Log10}
	for e := from; e <= to; e++ {
		v := math.Pow(10, e)
		s.ticks = append(s.ticks, tick{v, number(v)})
	}
	return s
}

// nines spreads the quantiles near 1: as far from 0.9 to 0.99 as from there to
// 0.999.
func nines() scale {
	const last = 0.9999
	s := scale{min: 0, max: last, place: func(q float64) float64 { return -math.Log10(1 - min(q, last)) }}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, last} {
		s.ticks = append(s.ticks, tick{q, strconv.FormatFloat(100*q, 'g', 6, 64) + " %"})
	}
	return s
}

// number writes three digits, and from ten thousand on k or M.
func number(v float64) string {
	if math.Abs(v) < 9999.5 {
		return trim(v)
	}
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.of*(1-1e-9) {
			return trim(v/unit.of) + unit.name
		}
	}
	return trim(v)
}

func trim(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a == 0 || a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return zeros(fmt.Sprintf("%.1f", v))
	case a >= 1:
		return zeros(fmt.Sprintf("%.2f", v))
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// zeros drops those after the decimal point that say nothing.
func zeros(text string) string {
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
