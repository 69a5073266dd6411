package eta

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// straight is a walk at one pace, up to a part of it, in steps of a second.
func straight(total time.Duration, done float64) (points []Point) {
	for at := time.Duration(0); at.Seconds() <= total.Seconds()*done; at += time.Second {
		points = append(points, Point{at, at.Seconds() / total.Seconds()})
	}
	return points
}

func TestUnknown(t *testing.T) {
	nan := math.NaN()
	for name, points := range map[string][]Point{
		"nothing":                     nil,
		"the beginning":               {{}},
		"a walk of no time":           {{0, 0}, {0, 0.1}, {0, 0.2}, {0, 0.3}},
		"one step":                    {{0, 0}, {time.Minute, 0.5}},
		"one step, and no more":       {{0, 0}, {time.Minute, 0.5}, {2 * time.Minute, 0.5}, {3 * time.Minute, 0.5}, {4 * time.Minute, 0.5}},
		"half a percent":              straight(time.Hour, 0.005),
		"no progress":                 {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}},
		"another pass that has begun": append(straight(time.Hour, 0.5), Point{30 * time.Minute, 0}),
		"no number":                   append(straight(time.Hour, 0.5), Point{30 * time.Minute, nan}),
		"numbers, then none":          {{0, nan}, {1, nan}, {2, nan}, {3, nan}, {4, nan}},
	} {
		if r := Remaining(points); r != (Range{}) {
			t.Errorf("%s: %v, want unknown", name, r)
		}
	}
}

func TestRemaining(t *testing.T) {
	done := append(straight(time.Hour, 1), Point{time.Hour, 1})
	if r := Remaining(done); r != (Range{Known: true}) {
		t.Errorf("at the end: %v, want 0", r)
	}
	for _, part := range []float64{0.02, 0.1, 0.5, 0.9, 0.999} {
		points := straight(time.Hour, part)
		left := time.Hour - points[len(points)-1].Worked
		if r := Remaining(points); !r.Known || r.Low > left || r.High < left || r.Low < left/4 {
			t.Errorf("at %v: %v, want around %v", part, r, left)
		}
	}

	// What came before the pass that is under way, and before the first point that the caller
	// gives, does not count.
	second := straight(10*time.Hour, 0.9)
	for _, p := range straight(time.Hour, 0.5) {
		second = append(second, Point{9*time.Hour + p.Worked, p.Done})
	}
	if r, want := Remaining(second), Remaining(straight(time.Hour, 0.5)); r != want {
		t.Errorf("in the second pass: %v, want %v", r, want)
	}
	if r := Remaining(straight(time.Hour, 0.5)[600:]); !r.Known || r.Low > 30*time.Minute || r.High < 30*time.Minute {
		t.Errorf("from the middle on: %v, want around half an hour", r)
	}
}

// TestStall: a batch that is under way is taken off, and when it does not end, the
// range grows instead of running out.
func TestStall(t *testing.T) {
	points := straight(time.Hour, 0.9)
	before := Remaining(points)
	last := points[len(points)-1]

	soon := Remaining(append(points, Point{last.Worked + 2*time.Second, last.Done}))
	if soon.Low > before.Low-2*time.Second+time.Millisecond || soon.High > before.High+time.Minute {
		t.Errorf("two seconds into a batch: %v, want a little less than %v", soon, before)
	}
	late := Remaining(append(points, Point{last.Worked + time.Hour, last.Done}))
	if !late.Known || late.High < 2*before.High {
		t.Errorf("an hour into a batch: %v, want much more than %v", late, before)
	}
	for _, r := range []Range{before, soon, late} {
		if r.Likely < r.Low || r.Likely > r.High {
			t.Errorf("%v is likely, of %v to %v", r.Likely, r.Low, r.High)
		}
	}
	if late.Low > before.High {
		t.Errorf("an hour into a batch: %v, as if it could not end now", late)
	}
}

// TestSmooth: from one second to the next a bound moves by little more than the second. Random
// draws that are not the same each time make it jump.
func TestSmooth(t *testing.T) {
	const seed = 1
	for i, s := range scenarios {
		w := s.make(rand.New(rand.NewPCG(seed, uint64(i))))
		step := w.total() / 2000
		jumps, n := 0, 0
		before := w.remaining(w.total()/2, none)
		for now := w.total()/2 + step; now < 0.6*w.total(); now += step {
			r := w.remaining(now, none)
			if r != w.remaining(now, none) {
				t.Fatalf("%s, seed %d: the same samples give another range", s.name, seed)
			}
			change := math.Abs(math.Log(float64(r.High) / float64(before.High)))
			if n++; change > 0.1 || r.Known != before.Known {
				jumps++
			}
			before = r
		}
		if jumps*20 > n {
			t.Errorf("%s, seed %d: jumps by more than a tenth %d of %d times", s.name, seed, jumps, n)
		}
	}
}

// TestFarAway: numbers that a key far from all others, or a damaged record, leads to.
func TestFarAway(t *testing.T) {
	points := []Point{{0, 0}, {time.Hour, 0.01}, {2 * time.Hour, 0.0100001}, {math.MaxInt64, 0.0100002}}
	r := Remaining(points)
	if r.Low < 0 || r.High < r.Low || r.High > longest {
		t.Errorf("%v", r)
	}
	if all := r.Then(math.MaxInt64, Share{1, 1e12}); all.Low < r.Low || all.High < all.Low || all.High > longest {
		t.Errorf("and the steps after it: %v", all)
	}
}

func TestThen(t *testing.T) {
	walk := Range{Low: 10 * time.Minute, High: 20 * time.Minute, Likely: 15 * time.Minute, Known: true}
	got := walk.Then(10*time.Minute, Share{0, 0.2}, Share{0, 1})
	if want := (Range{10 * time.Minute, 56 * time.Minute, 30 * time.Minute, true}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := (Range{}).Then(time.Hour, Share{0, 1}); got != (Range{}) {
		t.Errorf("after a walk whose end is unknown: %v", got)
	}
}

func TestCounted(t *testing.T) {
	counts := []Count{{0, 0, 1000}, {10 * time.Second, 100, 1000}, {30 * time.Second, 300, 1000}}
	for i, want := range []float64{0, 0.1, 0.3} {
		if p := Counted(counts)[i]; math.Abs(p.Done-want) > 1e-9 || p.Worked != counts[i].Worked {
			t.Errorf("of a table that does not grow: point %d is %v, want %v", i, p, want)
		}
	}
	for name, counts := range map[string][]Count{
		"nothing":                   nil,
		"no rows yet":               {{0, 0, 1000}, {time.Second, 0, 1000}},
		"a size of nothing":         {{0, 0, 0}, {time.Second, 0, 0}},
		"more rows than there were": {{0, 0, 1000}, {time.Second, 1001, 1000}},
	} {
		if p := Counted(counts); p != nil {
			t.Errorf("%s: %v, want none", name, p)
		}
	}
}

// TestGrowth: rows come in all over the keys, one for each two that are passed.
func TestGrowth(t *testing.T) {
	const rows, each = 1e6, 0.5
	end := rows / each * math.Expm1(each) // the solution of passed' = rows + each * passed
	var counts []Count
	for passed := 0.0; passed < end/2; passed += 1000 {
		counts = append(counts, Count{seconds(passed / 1000), int64(passed), rows + int64(each*passed)})
	}
	points := Counted(counts)
	if done := points[len(points)-1].Done; math.Abs(done-0.5) > 0.005 {
		t.Errorf("in the middle: %.3f, want 0.5", done)
	}
}

func TestDensity(t *testing.T) {
	d := Density{{1. / 3, 1}, {2. / 3, 0}, {1, 3}}
	for key, want := range map[float64]float64{-1: 0, 0: 0, 1. / 6: 0.125, 1. / 3: 0.25, 0.5: 0.25, 5. / 6: 0.625, 1: 1, 2: 1} {
		if got := d.Done(key); math.Abs(got-want) > 1e-9 {
			t.Errorf("Done(%v) = %v, want %v", key, got, want)
		}
	}
	for _, d := range []Density{nil, {}, {{0.5, 0}, {1, 0}}} {
		if got := d.Done(0.3); got != 0.3 {
			t.Errorf("%v: Done(0.3) = %v, want the same", d, got)
		}
	}
}
