package database

import (
	"context"
	"log/slog"
	"slices"
	"strings"
)

// starting is the log of a command that is about to run jobs: that nobody runs them is no news.
type starting struct {
	slog.Handler
	jobs []string
}

func (s starting) Handle(ctx context.Context, r slog.Record) error {
	var about string
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "job" {
			about = a.Value.String()
		}
		return about == ""
	})
	if strings.Contains(r.Message, "nobody runs a job") && slices.Contains(s.jobs, about) {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}

func (s starting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return starting{s.Handler.WithAttrs(attrs), s.jobs}
}

func (s starting) WithGroup(name string) slog.Handler {
	return starting{s.Handler.WithGroup(name), s.jobs}
}
