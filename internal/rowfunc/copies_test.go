package rowfunc

import "testing"

// TestHandlesOfCopies: sets that are open at once have different handles, and one that comes later has that of one that was
// closed, so that its statements are the same, and none of its rows. Planted and caught: a handle never given again.
func TestHandlesOfCopies(t *testing.T) {
	a, b := OpenCopies(), OpenCopies()
	defer b.Close()
	a.Add([]string{"1"}, nil)
	text := a.Includes("id")
	if text == b.Includes("id") {
		t.Error("two sets have one handle")
	}
	a.Close()
	c := OpenCopies()
	defer c.Close()
	if got := c.Includes("id"); got != text || len(c.rows) > 0 {
		t.Errorf("%s with %d rows, want %s, and none", got, len(c.rows), text)
	}
}
