package throttle_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, wherever they run

	"github.com/chunkfill/chunkfill/throttle"
)

func mustWindow(t *testing.T, s string) throttle.Window {
	t.Helper()
	w, err := throttle.ParseWindow(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWindowOpen(t *testing.T) {
	const nights = "Mon-Fri 01:00-05:00 Europe/Berlin"
	for _, tc := range []struct {
		window, at string // 2024-05-06 is a Monday
		open       bool
		next       string // "" for never
	}{
		{nights, "2024-05-06T00:59:59+02:00", false, "2024-05-06T01:00:00+02:00"},
		{nights, "2024-05-06T01:00:00+02:00", true, "2024-05-06T05:00:00+02:00"},
		{nights, "2024-05-06T04:59:59+02:00", true, "2024-05-06T05:00:00+02:00"},
		{nights, "2024-05-06T05:00:00+02:00", false, "2024-05-07T01:00:00+02:00"},
		{nights, "2024-05-10T05:00:00+02:00", false, "2024-05-13T01:00:00+02:00"},
		{nights, "2024-05-06T23:30:00Z", true, "2024-05-07T05:00:00+02:00"},
		// It crosses midnight and belongs to the day on which it starts.
		{"Fri 22:00-06:00 UTC", "2024-05-11T05:00:00Z", true, "2024-05-11T06:00:00Z"},
		{"Fri 22:00-06:00 UTC", "2024-05-10T05:00:00Z", false, "2024-05-10T22:00:00Z"},
		{"Sat-Mon 12:00-13:00 UTC", "2024-05-06T12:30:00Z", true, "2024-05-06T13:00:00Z"},
		{"Sat-Mon 12:00-13:00 UTC", "2024-05-07T12:30:00Z", false, "2024-05-11T12:00:00Z"},
		// Spans that touch are one.
		{"22:00-24:00, 00:00-06:00 UTC", "2024-05-06T23:00:00Z", true, "2024-05-07T06:00:00Z"},
		{"Sat-Sun 00:00-24:00 UTC; Mon 00:00-04:00 UTC", "2024-05-11T00:00:00Z", true, "2024-05-13T04:00:00Z"},
		{"01:00-02:00 Asia/Kathmandu, 01:00-02:00 UTC", "2024-05-06T00:00:00Z", false, "2024-05-06T01:00:00Z"},
		{"00:00-24:00 UTC", "2024-05-06T23:00:00Z", true, ""},
		{"", "2024-05-06T23:00:00Z", true, ""},
		// The clock in Berlin skips from 02:00 to 03:00 …
		{"01:30-03:30 Europe/Berlin", "2024-03-31T01:45:00+01:00", true, "2024-03-31T03:30:00+02:00"},
		{"02:15-05:00 Europe/Berlin", "2024-03-31T01:45:00+01:00", false, "2024-03-31T03:00:00+02:00"},
		{"Sun 02:00-03:00 Europe/Berlin", "2024-03-31T00:00:00+01:00", false, "2024-04-07T02:00:00+02:00"},
		// … and from 03:00 back to 02:00.
		{"02:15-02:30 Europe/Berlin", "2024-10-27T02:20:00+02:00", true, "2024-10-27T02:30:00+02:00"},
		{"02:15-02:30 Europe/Berlin", "2024-10-27T02:30:00+02:00", false, "2024-10-27T02:15:00+01:00"},
		{"01:00-05:00 Europe/Berlin", "2024-10-27T01:00:00+02:00", true, "2024-10-27T05:00:00+01:00"},
	} {
		t.Run(tc.window+" at "+tc.at, func(t *testing.T) {
			open, next := mustWindow(t, tc.window).Open(mustParse(tc.at))
			var want time.Time
			if tc.next != "" {
				want = mustParse(tc.next)
			}
			if open != tc.open || !next.Equal(want) {
				t.Errorf("open %v until %v, want %v until %v", open, next, tc.open, want)
			}
		})
	}
}

// Open says the same as the clock on the wall, minute by minute, on days with and
// without a change of offset. Planted bugs: midnight that takes today for
// yesterday; boundaries computed across a change of offset.
func TestWindowAgreesWithTheWallClock(t *testing.T) {
	rng := newRand(t)
	days := []string{
		"2024-03-31T00:00:00Z", "2024-10-27T00:00:00Z", // Berlin
		"2024-03-10T00:00:00Z", "2024-11-03T00:00:00Z", // New York
		"2024-04-06T00:00:00Z", "2024-10-05T00:00:00Z", // Lord Howe, by half an hour
		"2024-05-08T00:00:00Z",
	}
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"}
	for range 150 {
		sp := randomSpan(rng, zones)
		w := mustWindow(t, sp.String())
		begin := mustParse(days[rng.IntN(len(days))]).Add(-12 * time.Hour)
		open, next := w.Open(begin)
		for at := begin; at.Before(begin.Add(48 * time.Hour)); at = at.Add(time.Minute) {
			if at.Equal(next) {
				open = !open
			}
			gotOpen, gotNext := w.Open(at)
			if gotOpen != sp.contains(at) || gotOpen != open {
				t.Fatalf("%s at %v: open %v, by the clock %v, as announced %v", w, at, gotOpen, sp.contains(at), open)
			}
			if !gotNext.After(at) {
				t.Fatalf("%s at %v: next change at %v", w, at, gotNext)
			}
			next = gotNext
		}
	}
}

// wallSpan is a window of one span, told minute by minute.
type wallSpan struct {
	first, days, from, length int // weekday, number of days, minutes
	zone                      *time.Location
}

func randomSpan(rng *rand.Rand, zones []string) wallSpan {
	zone, err := time.LoadLocation(zones[rng.IntN(len(zones))])
	if err != nil {
		panic(err)
	}
	return wallSpan{rng.IntN(7), 1 + rng.IntN(7), rng.IntN(1440), 1 + rng.IntN(1439), zone}
}

func (sp wallSpan) String() string {
	name := func(day int) string { return time.Weekday(day % 7).String()[:3] }
	to := (sp.from + sp.length) % 1440
	return fmt.Sprintf("%s-%s %02d:%02d-%02d:%02d %s", name(sp.first), name(sp.first+sp.days-1),
		sp.from/60, sp.from%60, to/60, to%60, sp.zone)
}

func (sp wallSpan) contains(t time.Time) bool {
	local := t.In(sp.zone)
	minute, day := local.Hour()*60+local.Minute(), int(local.Weekday())
	since := minute - sp.from
	if since < 0 { // only what began yesterday can be open still
		since, day = since+1440, day+6
	}
	return since < sp.length && (day-sp.first+7)%7 < sp.days
}

func TestWindowString(t *testing.T) {
	for in, want := range map[string]string{
		"mon-fri 1:00-05:00 Europe/Berlin":       "Mon-Fri 01:00-05:00 Europe/Berlin",
		"  22:00-06:00,Sat 00:00-24:00 UTC ":     "Mon-Sun 22:00-06:00 UTC; Sat 00:00-24:00 UTC",
		"Sun 01:00-02:00 UTC;01:00-02:00 Local ": "Sun 01:00-02:00 UTC; Mon-Sun 01:00-02:00 Local",
		" ":                                      "",
	} {
		if got := mustWindow(t, in).String(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestParseWindowErrors(t *testing.T) {
	for in, want := range map[string]string{
		"Mon-Fri":                                         "no times",
		"Mon-Fri 01:00-05:00":                             "no time zone",
		"Mon-Fry 01:00-05:00 UTC":                         `"Fry" is no day`,
		"Mon Fri 01:00-05:00 UTC":                         `"Mon Fri" is more than a day`,
		"Mon 01:00 UTC":                                   `"01:00" is no range of times`,
		"Mon 01:00-25:00 UTC":                             `"25:00" is no time`,
		"Mon 01:60-05:00 UTC":                             `"01:60" is no time`,
		"Mon 05:00-05:00 UTC":                             `"05:00-05:00" is empty`,
		"Mon 24:00-05:00 UTC":                             `"24:00-05:00" is empty`,
		"Mon 01:00-05:00 Europe/Berlyn":                   "Europe/Berlyn",
		"Mon 01:00-05:00 Europe / Berlin":                 `"Europe / Berlin" is more than a time zone`,
		"Mon 01:00-05:00 UTC,":                            `window ""`,
		"Mon 01:00-05:00 UTC; Tue 1-2":                    `window "Tue 1-2"`,
		"01:00-02:00 UTC, 03:00-04:00, 05:00-06:00 Local": "a time zone in some spans but not in others",
	} {
		_, err := throttle.ParseWindow(in)
		checkNamed(t, err, want)
		if err != nil && !strings.Contains(err.Error(), "Mon-Fri 01:00-05:00 Europe/Berlin") {
			t.Errorf("%q: the error shows no example: %v", in, err)
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	for _, s := range []string{
		"", "Mon-Fri 01:00-05:00 Europe/Berlin", "22:00-06:00, Sat-Sun 00:00-24:00 UTC", "Fri-Mon 23:59-00:00 Local;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := throttle.ParseWindow(s)
		if err != nil {
			return
		}
		again, err := throttle.ParseWindow(w.String())
		if err != nil || again.String() != w.String() {
			t.Fatalf("%q reads as %q, which reads as %q, %v", s, w, again, err)
		}
		open, next := w.Open(epoch)
		if nextOpen, _ := w.Open(next); !next.IsZero() && (nextOpen == open || !next.After(epoch)) {
			t.Fatalf("%q: open %v, to change at %v, then %v", s, open, next, nextOpen)
		}
	})
}
