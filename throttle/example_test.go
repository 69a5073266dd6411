package throttle_test

import (
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// A table of 10 µs a row, which live writes wait for all the time: the size
// reaches the target of 2 ms, and every hold is followed by a pause.
func Example() {
	sizer := throttle.NewSizer(throttle.SizerConfig{})
	pacer := throttle.NewPacer(throttle.PacerConfig{SoleProcess: true})
	now := time.Date(2024, 5, 6, 12, 0, 0, 0, time.UTC)
	for range 7 {
		size := sizer.Next(now)
		batch := throttle.Batch{
			Asked: size.Rows, Rows: size.Rows, Changed: size.Rows,
			Hold:   100*time.Microsecond + time.Duration(size.Rows)*10*time.Microsecond,
			Waited: true,
		}
		now = now.Add(batch.Hold)
		sizer.Observe(now, batch)
		pause := pacer.After(now, batch)
		fmt.Printf("%3d rows (%s) held %v, then at most %v (%s)\n",
			size.Rows, size.Reason, batch.Hold, pause.AtMost, pause.Reason)
		now = now.Add(pause.AtMost)
	}
	// Output:
	//   1 rows (starting small) held 110µs, then at most 1ms (live writes are waiting)
	//  10 rows (growing towards the target hold) held 200µs, then at most 1.8ms (live writes are waiting)
	//  50 rows (growing towards the target hold) held 600µs, then at most 5.4ms (live writes are waiting)
	//  84 rows (growing towards the target hold) held 940µs, then at most 8.46ms (live writes are waiting)
	// 126 rows (growing towards the target hold) held 1.36ms, then at most 12.24ms (live writes are waiting)
	// 189 rows (growing towards the target hold) held 1.99ms, then at most 17.91ms (live writes are waiting)
	// 190 rows (live writes are waiting) held 2ms, then at most 18ms (live writes are waiting)
}

func ExampleParseWindow() {
	w, err := throttle.ParseWindow("Mon-Fri 01:00-05:00, Sat-Sun 22:00-06:00 Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2024, 5, 10, 0, 0, 0, 0, time.UTC)
	for range 4 {
		open, next := w.Open(at)
		fmt.Printf("%s: open %v\n", at.In(next.Location()).Format("Mon 15:04 MST"), open)
		at = next
	}
	_, err = throttle.ParseWindow("Mon-Fry 01:00-05:00 UTC")
	fmt.Println(err)
	// Output:
	// Fri 02:00 CEST: open true
	// Fri 05:00 CEST: open false
	// Sat 22:00 CEST: open true
	// Sun 06:00 CEST: open false
	// throttle: window "Mon-Fry 01:00-05:00 UTC": "Fry" is no day (Mon, Tue, Wed, Thu, Fri, Sat, Sun), want for example "Mon-Fri 01:00-05:00 Europe/Berlin"
}

func ExampleGuard() {
	guard := throttle.Guard{WALCap: 256 << 20}
	held := false
	for _, wal := range []int64{100 << 20, 300 << 20, 250 << 20, 150 << 20} {
		wait, reason := guard.Check(wal, -1, held)
		fmt.Printf("%d MiB: wait %v, %q\n", wal>>20, wait, reason)
		held = wait
	}
	// Output:
	// 100 MiB: wait false, ""
	// 300 MiB: wait true, "readers keep the WAL from beginning anew"
	// 250 MiB: wait true, "readers keep the WAL from beginning anew"
	// 150 MiB: wait false, ""
}
