package schemadiff

import "time"

// Cost is what a change is likely to hold and take. What was measured stands for other machines and
// rows only roughly.
type Cost struct {
	Rows     int64         `json:"rows"`
	Hold     time.Duration `json:"-"` // of the writer, at most, at a time
	TakeLow  time.Duration `json:"-"`
	TakeHigh time.Duration `json:"-"`

	HoldMS     float64 `json:"hold_ms"`
	TakeLowMS  float64 `json:"take_low_ms"`
	TakeHighMS float64 `json:"take_high_ms"`
}

const (
	schemaOnly = time.Millisecond      // a statement that reads no row
	batchHold  = 20 * time.Millisecond // of a rebuild; see engine.Config.TargetHold

	// A row, measured on tables of 1 to 2 million.
	scanRow      = 900 * time.Nanosecond  // ADD COLUMN with a CHECK, or generated NOT NULL
	indexRow     = 1100 * time.Nanosecond // CREATE INDEX
	dropRow      = 200 * time.Nanosecond  // DROP INDEX
	copyRowLow   = 6 * time.Microsecond   // of a rebuild, without indexes
	copyRowHigh  = 30 * time.Microsecond
	copyIndexRow = 6 * time.Microsecond // for each index
)

// cost fills in the numbers of JSON.
func cost(rows int64, hold, low, high time.Duration) Cost {
	ms := func(d time.Duration) float64 {
		return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
	}
	return Cost{rows, hold, low, high, ms(hold), ms(low), ms(high)}
}

func plainCost(rows int64, perRow time.Duration) Cost {
	hold := schemaOnly + time.Duration(rows)*perRow
	return cost(rows, hold, min(hold, schemaOnly+time.Duration(rows)*perRow/3), hold)
}

func rebuildCost(rows int64, indexes int) Cost {
	low, high := time.Duration(rows)*copyRowLow, time.Duration(rows)*copyRowHigh
	more := time.Duration(rows) * time.Duration(indexes) * copyIndexRow
	return cost(rows, batchHold, low+more/4, high+more+100*time.Millisecond)
}
