package eta

import (
	"math"
	"math/rand/v2"
)

// scenario makes walks of a kind. All draws are of wide distributions, and none of them knows how
// a forecast is made.
type scenario struct {
	name string
	make func(r *rand.Rand) *walk
}

var scenarios = []scenario{
	{"constant pace", func(r *rand.Rand) *walk { return run(steady(r), duration(r), pace{}) }},
	{"unchanged stretches", func(r *rand.Rand) *walk { return run(unchanged(r, steady(r)), duration(r), pace{}) }},
	{"live load on and off", func(r *rand.Rand) *walk {
		d := duration(r)
		return run(steady(r), d, pace{load: onOff(r, d)})
	}},
	{"rate cap", capped},
	{"pauses", func(r *rand.Rand) *walk {
		d := duration(r)
		return run(steadyOrNot(r), d, pace{pauses: pauses(r, d)})
	}},
	{"window", func(r *rand.Rand) *walk {
		d := duration(r)
		return run(steadyOrNot(r), d, pace{load: onOff(r, d), pauses: closed(r, d)})
	}},
	{"slow transform", slowTransform},
	{"table that grows", func(r *rand.Rand) *walk {
		w := run(steady(r), duration(r), pace{growth: uniform(r, 0.05, 1)})
		w.counted = true
		return w
	}},
	{"skewed keys", skewed},
	{"walk, then verify", func(r *rand.Rand) *walk {
		w := run(steadyOrNot(r), duration(r), pace{})
		w.held, w.changed = logUniform(r, 0.1, 1), r.Float64()
		w.verify = w.total() * w.held * uniform(r, 0.35, 0.75) * (1 - uniform(r, 0.5, 0.7)*w.changed)
		return w
	}},
	{"stretches and load", func(r *rand.Rand) *walk {
		d := duration(r)
		return run(unchanged(r, steady(r)), d, pace{load: onOff(r, d)})
	}},
}

// duration is of the walk without a load: a minute to ten hours.
func duration(r *rand.Rand) float64 { return logUniform(r, 60, 36000) }

// steady cells differ a little, and drift by up to a sixth over the walk.
func steady(r *rand.Rand) []float64 {
	cost := make([]float64, cells)
	noise, drift := uniform(r, 0.1, 0.3), uniform(r, -0.16, 0.16)
	for i := range cost {
		cost[i] = math.Exp(noise*r.NormFloat64() + drift*float64(i)/cells)
	}
	return cost
}

func steadyOrNot(r *rand.Rand) []float64 {
	if r.IntN(2) == 0 {
		return steady(r)
	}
	return unchanged(r, steady(r))
}

// unchanged makes stretches 10 to 100 times faster, a fifth to four fifths of all.
func unchanged(r *rand.Rand, cost []float64) []float64 {
	faster := logUniform(r, 10, 100)
	return stretches(r, cost, func() float64 { return 1 / faster })
}

// stretches multiplies every other stretch. They are of random lengths, in the mean 1/200 to
// 1/7 of the walk.
func stretches(r *rand.Rand, cost []float64, factor func() float64) []float64 {
	mean := logUniform(r, 0.005, 0.15) * cells
	share := uniform(r, 0.2, 0.8)
	for i, other := 0, r.Float64() < share; i < len(cost); other = !other {
		length, by := 2*mean*(1-share), 1.0
		if other {
			length, by = 2*mean*share, factor()
		}
		end := min(len(cost), i+max(1, int(length*r.ExpFloat64())))
		for ; i < end; i++ {
			cost[i] *= by
		}
	}
	return cost
}

// onOff is a load that makes all 3 to 10 times slower, a fifth to four fifths of the time: as
// regular as clockwork or not at all, coming back 2 to 100 times during the walk.
func onOff(r *rand.Rand, duration float64) func(wall float64) (factor, until float64) {
	slower, duty := logUniform(r, 3, 10), uniform(r, 0.2, 0.8)
	period := logUniform(r, 0.01, 0.5) * duration * (1 + duty*(slower-1))
	regular := r.IntN(2) == 0
	on := r.Float64() < duty
	next := func() float64 {
		length := period * (1 - duty)
		if on {
			length = period * duty
		}
		if regular {
			return length * uniform(r, 0.9, 1.1)
		}
		return length * r.ExpFloat64()
	}
	end := next() * r.Float64()
	return func(wall float64) (float64, float64) {
		for wall >= end {
			on = !on
			end += next()
		}
		if on {
			return slower, end
		}
		return 1, end
	}
}

// capped is a walk under a cap, beside a load or not; every other one is tuned on its way.
func capped(r *rand.Rand) *walk {
	d := duration(r)
	p := pace{limit: uniform(r, 1, 6)}
	if r.IntN(2) == 0 {
		p.load = onOff(r, d)
	}
	if r.IntN(2) == 0 {
		p.tuned, p.by = r.Float64(), logUniform(r, 0.3, 3)
	}
	return run(steady(r), d, p)
}

// pauses are 1 to 5 times that somebody paused the job, for up to as long as it takes.
func pauses(r *rand.Rand, duration float64) (all []span) {
	at := 0.0
	for range 1 + r.IntN(5) {
		at += r.ExpFloat64() * duration / 4
		to := at + r.Float64()*duration
		all = append(all, span{at, to})
		at = to
	}
	return all
}

// closed is when a window is shut: every day, while the job takes up to ten of them.
func closed(r *rand.Rand, duration float64) (all []span) {
	open := duration * uniform(r, 0.1, 1)
	shut := open * uniform(r, 0.3, 5)
	for at := open * r.Float64(); len(all) < 1000; at += open + shut {
		all = append(all, span{at, at + shut})
	}
	return all
}

// slowTransform has few rows that take very different times, and batches of two seconds.
func slowTransform(r *rand.Rand) *walk {
	cost := make([]float64, 300+r.IntN(3000))
	for i := range cost {
		cost[i] = math.Exp(r.NormFloat64())
	}
	w := run(cost, logUniform(r, 300, 36000), pace{})
	w.every = 2
	return w
}

// skewed is a walk by keys that are not evenly spread: ever denser or thinner, dense and thin in
// turns, or with gaps. Probes have told the density, each of a few rows.
func skewed(r *rand.Rand) *walk {
	rows := make([]float64, cells)
	power := 0.0
	kind := r.IntN(3)
	if kind == 0 {
		power = uniform(r, -0.5, 2)
	}
	for i := range rows {
		rows[i] = math.Pow((float64(i)+0.5)/cells, power) * math.Exp(0.2*r.NormFloat64())
	}
	switch kind {
	case 1:
		stretches(r, rows, func() float64 { return logUniform(r, 0.2, 5) })
	case 2:
		for range 1 + r.IntN(3) {
			from, width := r.IntN(cells), 0.03+0.15*r.Float64()
			for i := from; i < min(cells, from+int(width*cells)); i++ {
				rows[i] *= 1e-4
			}
		}
	}

	density := make(Density, probes)
	for i := range density {
		density[i] = Part{Upto: float64(i+1) / probes, Rows: rows[(i*cells+cells/2)/probes]}
	}
	for i, c := range steady(r) {
		rows[i] *= c
	}
	w := run(rows, duration(r), pace{})
	w.density = density
	return w
}
