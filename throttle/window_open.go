package throttle

import "time"

// horizon is how far ahead Open looks for a change. A window that changes at all does so
// within a week, or within two if daylight saving time skips it once.
const horizon = 3 * 7 * 24 * time.Hour

// Open reports whether the window is open at t and returns when that changes: the instant
// at which it closes if it is open, or opens if it is closed. next is zero if it never
// changes.
func (w Window) Open(t time.Time) (open bool, next time.Time) {
	t = t.Round(0) // a monotonic clock stops while the machine sleeps
	open = w.contains(t)
	if len(w.spans) == 0 {
		return open, time.Time{}
	}
	end := t.Add(horizon)
	for at := w.boundary(t); at.Before(end); at = w.boundary(at) {
		if w.contains(at) != open {
			return open, at
		}
	}
	return open, time.Time{}
}

func (w Window) contains(t time.Time) bool {
	for _, sp := range w.spans {
		if sp.contains(t) {
			return true
		}
	}
	return len(w.spans) == 0
}

func (sp span) contains(t time.Time) bool {
	local := t.In(sp.zone)
	now := int(sinceMidnight(local) / time.Second)
	today := local.Weekday()
	if sp.from < sp.to {
		return sp.on(today) && sp.from <= now && now < sp.to
	}
	yesterday := (today + 6) % 7
	return sp.on(today) && sp.from <= now || sp.on(yesterday) && now < sp.to
}

func (sp span) on(d time.Weekday) bool {
	return (d-sp.first+7)%7 <= (sp.last-sp.first+7)%7
}

// boundary returns the first instant after t at which any span may open or close.
func (w Window) boundary(t time.Time) time.Time {
	first := w.spans[0].boundary(t)
	for _, sp := range w.spans[1:] {
		if b := sp.boundary(t); b.Before(first) {
			first = b
		}
	}
	return first
}

// boundary counts along the wall clock, which runs evenly only until its zone changes its
// offset; that instant is a boundary, too.
func (sp span) boundary(t time.Time) time.Time {
	local := t.In(sp.zone)
	next := local.Add(min(untilClock(local, sp.from), untilClock(local, sp.to)))
	if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(next) {
		return change
	}
	return next
}

// untilClock returns the time, more than 0, until the clock shows so many seconds since
// midnight.
func untilClock(local time.Time, seconds int) time.Duration {
	const whole = day * time.Second
	d := time.Duration(seconds)*time.Second - sinceMidnight(local)
	if d = (d + whole) % whole; d == 0 {
		return whole
	}
	return d
}

func sinceMidnight(local time.Time) time.Duration {
	h, m, s := local.Clock()
	return time.Duration(h*3600+m*60+s)*time.Second + time.Duration(local.Nanosecond())
}
