package throttle

import (
	"fmt"
	"strings"
	"time"
)

const windowExample = "Mon-Fri 01:00-05:00 Europe/Berlin"

// Window is the part of the week in which a job may run. The zero value is always open. It
// is a plain value and safe for concurrent use.
type Window struct {
	spans []span
}

// span is the same hours on some days of the week, in seconds since midnight. A span that
// ends before it starts ends on the following day.
type span struct {
	first, last time.Weekday // last may be before first: Sat-Mon
	from, to    int
	zone        *time.Location
}

const day = 24 * 60 * 60

// ParseWindow reads a window such as
//
//	Mon-Fri 01:00-05:00 Europe/Berlin
//	22:00-06:00, Sat-Sun 00:00-24:00 UTC
//
// that is, spans joined by a comma or semicolon, each made of an optional day or
// range of days (without it, every day), a range of times, and a time zone. A span
// such as 22:00-06:00 crosses midnight and belongs to the day on which it starts.
//
// The zone is named in every span, or once for all of them. It is a name from the
// IANA database, UTC, or Local; there is no default, because a server's zone is
// seldom the one its operator has in mind. A program that runs where no such
// database is installed (a container without tzdata) should import time/tzdata; this
// package does not, because that adds 450 kB to every program. The chunkfill command
// includes it.
//
// A window follows the wall clock: the part of it that a change to daylight saving
// time skips stays closed, and a repeated hour opens twice. The empty string is the
// zero Window. An error names the part at fault.
func ParseWindow(s string) (Window, error) {
	if strings.TrimSpace(s) == "" {
		return Window{}, nil
	}
	var w Window
	for _, part := range strings.Split(strings.ReplaceAll(s, ";", ","), ",") {
		sp, err := parseSpan(part)
		if err != nil {
			return Window{}, windowError(strings.TrimSpace(part), err)
		}
		w.spans = append(w.spans, sp)
	}
	if err := w.shareZone(); err != nil {
		return Window{}, windowError(s, err)
	}
	return w, nil
}

func windowError(part string, err error) error {
	return fmt.Errorf("throttle: window %q: %w, want for example %q", part, err, windowExample)
}

// shareZone gives a zone that is named only once to the spans that name none.
func (w Window) shareZone() error {
	named := 0
	var zone *time.Location
	for _, sp := range w.spans {
		if sp.zone != nil {
			named++
			zone = sp.zone
		}
	}
	switch named {
	case 0:
		return fmt.Errorf("no time zone")
	case len(w.spans):
		return nil
	case 1:
		for i := range w.spans {
			w.spans[i].zone = zone
		}
		return nil
	}
	return fmt.Errorf("a time zone in some spans but not in others")
}

// parseSpan leaves the zone nil if none is named.
func parseSpan(s string) (span, error) {
	fields := strings.Fields(s)
	times := 0
	for times < len(fields) && !strings.Contains(fields[times], ":") {
		times++
	}
	if times == len(fields) {
		return span{}, fmt.Errorf("no times")
	}
	sp := span{first: time.Monday, last: time.Sunday}
	var err error
	switch {
	case times > 1:
		return span{}, fmt.Errorf("%q is more than a day or a range of days", strings.Join(fields[:times], " "))
	case times == 1:
		if sp.first, sp.last, err = parseDays(fields[0]); err != nil {
			return span{}, err
		}
	}
	if sp.from, sp.to, err = parseTimes(fields[times]); err != nil {
		return span{}, err
	}
	sp.zone, err = parseZone(fields[times+1:])
	return sp, err
}

func parseDays(s string) (first, last time.Weekday, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	if first, err = parseDay(from); err != nil {
		return 0, 0, err
	}
	last, err = parseDay(to)
	return first, last, err
}

func parseDay(s string) (time.Weekday, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, shortDay(d)) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is no day (Mon, Tue, Wed, Thu, Fri, Sat, Sun)", s)
}

func shortDay(d time.Weekday) string {
	return d.String()[:3]
}

func parseTimes(s string) (from, to int, err error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		return 0, 0, fmt.Errorf("%q is no range of times", s)
	}
	if from, err = parseTime(first); err != nil {
		return 0, 0, err
	}
	if to, err = parseTime(last); err != nil {
		return 0, 0, err
	}
	if from == to || from == day {
		return 0, 0, fmt.Errorf("%q is empty (all day is 00:00-24:00)", s)
	}
	return from, to, nil
}

func parseTime(s string) (int, error) {
	if s == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time (00:00 to 24:00)", s)
	}
	return t.Hour()*3600 + t.Minute()*60, nil
}

func parseZone(fields []string) (*time.Location, error) {
	switch len(fields) {
	case 0:
		return nil, nil
	case 1:
		zone, err := time.LoadLocation(fields[0])
		if err != nil && !hasZones() {
			err = fmt.Errorf("%w: this machine has no time zone database, and the program none of its own (import time/tzdata)", err)
		}
		return zone, err
	}
	return nil, fmt.Errorf("%q is more than a time zone", strings.Join(fields, " "))
}

// hasZones reports whether any named zone can be found.
func hasZones() bool {
	_, err := time.LoadLocation("Europe/London")
	return err == nil
}

// String returns the window in a form that [ParseWindow] reads back as the same.
func (w Window) String() string {
	parts := make([]string, len(w.spans))
	for i, sp := range w.spans {
		parts[i] = sp.String()
	}
	return strings.Join(parts, "; ")
}

func (sp span) String() string {
	days := shortDay(sp.first)
	if sp.last != sp.first {
		days += "-" + shortDay(sp.last)
	}
	return fmt.Sprintf("%s %s-%s %s", days, clock(sp.from), clock(sp.to), sp.zone)
}

func clock(seconds int) string {
	return fmt.Sprintf("%02d:%02d", seconds/3600, seconds/60%60)
}
