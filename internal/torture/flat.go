package torture

import (
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// Sample is what the soak program measures of itself once a round, when no job
// runs; live writes go on.
type Sample struct {
	At                      time.Duration // since the start
	Round, Jobs             int           // so far
	Goroutines, Descriptors int
	RSS, WAL, DB            int64 // bytes; the log's file is as large as the log has ever been
	LogPerJob               int64 // bytes that the engine has logged in this round
	Files                   int   // beside the database: the log and its index
	Events                  int   // of the job that has the most
	Ingest                  Ingest
}

const kib, mib = 1 << 10, 1 << 20

// SampleHeader is above lines of Sample.String.
const SampleHeader = "    time round   jobs  goroutines descriptors     RSS MiB  WAL KiB   DB KiB  log B/job files events  writes    p99"

func (s Sample) String() string {
	return fmt.Sprintf("%8v %5d %6d  %10d %11d %11.1f %8d %8d %10d %5d %6d %7d %6v", s.At.Round(time.Second), s.Round, s.Jobs,
		s.Goroutines, s.Descriptors, float64(s.RSS)/mib, s.WAL/kib, s.DB/kib, s.LogPerJob, s.Files, s.Events, s.Ingest.Writes,
		s.Ingest.P99.Round(100*time.Microsecond))
}

// LeastRounds are what NotFlat needs for a judgement.
const LeastRounds = 12

// NotFlat says what has grown. The first quarter is left alone, for pools and
// caches to fill; the last is compared with the second.
func NotFlat(samples []Sample) (grown []string) {
	if len(samples) < LeastRounds {
		return []string{fmt.Sprintf("only %d rounds, want %d", len(samples), LeastRounds)}
	}
	early, late := samples[len(samples)/4:len(samples)/2], samples[len(samples)*3/4:]
	// What an idle process holds is a number, not a distribution.
	exact := func(what string, of func(Sample) int64) {
		if was, is := slices.Max(all(early, of)), slices.Max(all(late, of)); is != was {
			grown = append(grown, fmt.Sprintf("%s: %d, then %d", what, was, is))
		}
	}
	atMost := func(what string, was, is, tolerance int64) {
		if is > was+tolerance {
			grown = append(grown, fmt.Sprintf("%s: %d, then %d, more than %d above it", what, was, is, tolerance))
		}
	}
	exact("goroutines", func(s Sample) int64 { return int64(s.Goroutines) })
	exact("descriptors", func(s Sample) int64 { return int64(s.Descriptors) })
	exact("files", func(s Sample) int64 { return int64(s.Files) })
	rss := func(s Sample) int64 { return s.RSS }
	was := median(all(early, rss))
	atMost("RSS", was, median(all(late, rss)), was/10+2*mib)
	// The log's file is as long as the log has ever been. What the engine keeps it
	// below is 8 MiB; a machine that stalls lets live writes pile up on top.
	atMost("size of the log", 8*mib, samples[len(samples)-1].WAL, 8*mib)
	db := func(s Sample) int64 { return s.DB }
	was = slices.Max(all(early, db))
	atMost("size of the database", was, slices.Max(all(late, db)), was/4+mib/2)
	logged := func(s Sample) int64 { return s.LogPerJob }
	was = median(all(early, logged))
	atMost("bytes logged a job", was, median(all(late, logged)), was/10)
	atMost("events of a job", checkpoint.MaxEvents, int64(samples[len(samples)-1].Events), 0)
	return grown
}

func all(samples []Sample, of func(Sample) int64) []int64 {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return values
}

func median(values []int64) int64 {
	slices.Sort(values)
	return values[len(values)/2]
}
