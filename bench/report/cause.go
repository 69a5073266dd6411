package report

import (
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/timeline"
)

// cause says what the slowest live insert waited for, as far as the holds at that time
// show.
func cause(t bench.Trial) string {
	if t.During == nil || len(t.During.Worst) == 0 {
		return ""
	}
	worst := t.During.Worst[0]
	at := worst.Due.Sub(t.Holds.Over.Start)
	text := fmt.Sprintf("The slowest insert, due %.2f s into the rewrite, took %s ms", at.Seconds(), number(milliseconds(worst.Latency())))
	switch held := longest(t.Holds.Over, worst.Due, worst.Ended); {
	case held >= worst.Latency()/2:
		return text + fmt.Sprintf("; the writer was held for %s ms meanwhile.", number(milliseconds(held)))
	case worst.Began.Sub(worst.Due) >= worst.Latency()/2:
		return text + fmt.Sprintf(", %s ms of them behind the inserts before it; no hold was longer than %s ms.",
			number(milliseconds(worst.Began.Sub(worst.Due))), number(milliseconds(held)))
	default:
		return text + fmt.Sprintf("; no hold at that time was longer than %s ms, so the rest is its own commit or the machine.", number(milliseconds(held)))
	}
}

// longest is the peak of a timeline between two times.
func longest(line timeline.Timeline, from, to time.Time) time.Duration {
	var peak float64
	for i, v := range line.Max {
		at := line.Start.Add(time.Duration(i) * line.Width)
		if at.Add(line.Width).After(from) && !at.After(to) {
			peak = max(peak, v)
		}
	}
	return time.Duration(peak)
}
