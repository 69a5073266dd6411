package timeline

import (
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1_000, 0)

func TestKeepsThePeakOfEachStretch(t *testing.T) {
	line := New(start)
	for at, value := range map[time.Duration]float64{
		0: 3, 10 * time.Millisecond: 5, 49 * time.Millisecond: 1,
		120 * time.Millisecond: 7, -time.Second: 2,
	} {
		line.Add(start.Add(at), value)
	}
	if len(line.Max) != 3 || line.Max[0] != 5 || line.Max[1] != 0 || line.Max[2] != 7 {
		t.Errorf("timeline %v, want [5 0 7]", line.Max)
	}
}

// Planted: only the ends of a span recorded.
func TestSpanCoversAllOfIt(t *testing.T) {
	line := New(start)
	line.AddSpan(start.Add(60*time.Millisecond), start.Add(260*time.Millisecond), 4)
	line.AddSpan(start.Add(310*time.Millisecond), start.Add(320*time.Millisecond), 2)
	if want := []float64{0, 4, 4, 4, 4, 4, 2}; !slices.Equal(line.Max, want) {
		t.Errorf("timeline %v, want %v", line.Max, want)
	}
	line.AddSpan(start, start.Add(time.Hour), 9)
	if len(line.Max) > maxBuckets || slices.Min(line.Max) != 9 {
		t.Errorf("an hour in %d buckets, least %v", len(line.Max), slices.Min(line.Max))
	}
}

// Planted: coarsen keeping the second of a pair instead of the higher one.
func TestGrowsCoarserNotLonger(t *testing.T) {
	line := New(start)
	const step = 10 * time.Millisecond
	peak := 4567
	for i := range 60_000 { // ten minutes
		value := 1.0
		if i == peak {
			value = 99
		}
		line.Add(start.Add(time.Duration(i)*step), value)
	}
	if len(line.Max) > maxBuckets {
		t.Errorf("%d buckets, want at most %d", len(line.Max), maxBuckets)
	}
	at := int(time.Duration(peak) * step / line.Width)
	for i, value := range line.Max {
		if want := map[bool]float64{true: 99, false: 1}[i == at]; value != want {
			t.Errorf("bucket %d: %v, want %v", i, value, want)
		}
	}
}

func TestCloneIsApart(t *testing.T) {
	line := New(start)
	line.Add(start, 1)
	copied := line.Clone()
	line.Add(start, 2)
	if copied.Max[0] != 1 {
		t.Errorf("the copy changed to %v", copied.Max)
	}
}
