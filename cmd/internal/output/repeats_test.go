package output

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Planted and caught: attributes that lose the count, informations held back.
func TestRepeatsAreSummedUp(t *testing.T) {
	var out bytes.Buffer
	handler := newRepeats(slog.NewTextHandler(&out, nil))
	log := slog.New(handler)
	for i := range 10 {
		log.With("job", i%2).Warn("row quarantined", "key", i)
		log.Info("resumed")
	}
	log.WithGroup("g").Warn("another")
	for range 4 {
		log.Warn("nobody runs a job") // which no list of rows has
	}
	handler.sumUp()
	for text, want := range map[string]int{
		"row quarantined": shownRepeats + 1, "resumed": 10, "another": 1, "and_more=7 listed_by": 1,
		"nobody runs a job": shownRepeats + 1, "and_more=1\n": 1,
	} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q %d times, want %d:\n%s", text, got, want, &out)
		}
	}
	out.Reset()
	if handler.sumUp(); out.Len() > 0 {
		t.Errorf("summed up twice:\n%s", &out)
	}
}
