package output

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// shownRepeats is how many warnings of one kind are worth a line each: enough to see
// what is wrong, few enough not to bury the rest.
const shownRepeats = 3

// repeats passes on the first warnings of each kind and counts the others. Nothing
// is lost: the rows among them, which are the most, the database keeps and errors lists.
type repeats struct {
	slog.Handler
	counts *repeatCounts
}

type repeatCounts struct {
	mu   sync.Mutex
	seen map[string]int // by message
}

func newRepeats(h slog.Handler) repeats {
	return repeats{h, &repeatCounts{seen: map[string]int{}}}
}

func (h repeats) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && h.counts.add(r.Message) > shownRepeats {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	return repeats{h.Handler.WithAttrs(attrs), h.counts}
}

func (h repeats) WithGroup(name string) slog.Handler {
	return repeats{h.Handler.WithGroup(name), h.counts}
}

func (c *repeatCounts) add(message string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[message]++
	return c.seen[message]
}

// sumUp logs how many were not shown, and starts counting again.
func (h repeats) sumUp() {
	h.counts.mu.Lock()
	seen := h.counts.seen
	h.counts.seen = map[string]int{}
	h.counts.mu.Unlock()
	for _, message := range slices.Sorted(maps.Keys(seen)) {
		if more := seen[message] - shownRepeats; more > 0 {
			attrs := []any{"and_more", more}
			if strings.Contains(message, "row quarantined") {
				attrs = append(attrs, "listed_by", "chunkfill errors")
			}
			slog.New(h.Handler).Warn(message, attrs...)
		}
	}
}
