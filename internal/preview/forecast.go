package preview

import (
	"math"
	"time"
)

// Work is what a job has before it, and what its parts were measured to cost.
type Work struct {
	Scanned, Changed int64 // rows

	Scan        time.Duration // for all rows to be looked at once, beside any change
	Verified    bool          // they are looked at once more at the end
	Least, Most time.Duration // to change a row
	Compute     time.Duration // a transform's function for all rows, beside the writer
	WAL         int64         // bytes

	Hold   time.Duration // of a batch
	Polled bool          // each hold is followed by a pause of the same length
	Live   bool          // live writes were seen
	Rate   float64       // most rows per second; 0 for no cap
}

const (
	// What a hold costs beside its rows: settings, BEGIN, the end of the range, checkpoint,
	// COMMIT.
	leastFixed, mostFixed = 200 * time.Microsecond, 600 * time.Microsecond

	// Bytes per second that the write-ahead log is written, and copied, with.
	fastLog, slowLog = 1 << 30, 100 << 20

	// Live writes go first; how much longer a job takes beside them depends on how many
	// there are.
	besideLive = 2
)

// Time returns about how long the work takes, as a range: without pauses and with them.
func (w Work) Time() (low, high time.Duration) {
	scan := w.Scan.Seconds()
	if w.Verified {
		scan *= 2
	}
	least := scan + float64(w.Changed)*w.Least.Seconds() + float64(w.WAL)/fastLog
	most := 2*scan + float64(w.Changed)*w.Most.Seconds() + float64(w.WAL)/slowLog

	hold := w.Hold.Seconds()
	least *= (hold + leastFixed.Seconds()) / hold
	most *= (hold + mostFixed.Seconds()) / hold
	if w.Polled {
		most *= 2
	}
	if w.Live {
		most *= besideLive
	}
	least, most = max(least, w.Compute.Seconds()), most+w.Compute.Seconds()
	if w.Rate > 0 {
		capped := float64(w.Scanned) / w.Rate
		least, most = max(least, capped), max(most, 1.1*capped)
	}
	return seconds(least), seconds(most)
}

func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}

// Space is what the write-ahead log that a job writes is made of.
type Space struct {
	PageSize      int
	Rows, Changed int64
	RowBytes      float64   // a row of the table takes, on average
	Entries       []float64 // an entry takes, of each index that changes
	Update        bool      // an entry of an index is moved, not removed
	BatchRows     int64     // rows that change in a batch
}

const (
	filled      = 0.75 // of a page of a b-tree, on average
	frameHeader = 24
	rowHeader   = 10 // of a row or an entry, beside its values
	recordPages = 4  // that a batch writes for its checkpoint
)

// WAL returns about how many bytes are written to the log. The log itself stays shorter, as
// it begins again and again.
func (s Space) WAL() int64 {
	if s.Changed <= 0 || s.Rows <= 0 {
		return 0
	}
	batches := math.Ceil(float64(s.Changed) / float64(max(1, s.BatchRows)))
	perBatch := float64(s.Changed) / batches

	// Rows are met in their order, so a page that several share is written once. In an
	// index they are anywhere, and a page is written once a batch.
	pages := s.tablePages() + recordPages*batches
	for _, entry := range s.Entries {
		leaves := math.Max(1, float64(s.Rows)*(entry+rowHeader)/(float64(s.PageSize)*filled))
		writes := perBatch
		if s.Update {
			writes *= 2
		}
		pages += batches * leaves * -math.Expm1(-writes/leaves)
	}
	return int64(pages * float64(s.PageSize+frameHeader))
}

// tablePages is how many pages of the table have a row that changes, spread evenly.
func (s Space) tablePages() float64 {
	perPage := float64(s.PageSize) * filled / (s.RowBytes + rowHeader)
	share := math.Min(1, float64(s.Changed)/float64(s.Rows))
	if perPage <= 1 {
		return float64(s.Changed) / perPage
	}
	return float64(s.Rows) / perPage * (1 - math.Pow(1-share, perPage))
}
