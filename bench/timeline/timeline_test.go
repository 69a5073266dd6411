package timeline

import (
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
