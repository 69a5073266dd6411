package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
)

// ErrShape is returned for a new shape that a table cannot be given, or not by this connection; the
// message says what stands in the way, and the first rows where it is they.
var ErrShape = reshape.ErrShape

// rehearse tries the change of the schema. What is to be read then is read elsewhere.
func (r rebuild) rehearse(ctx context.Context, c lite.Querier) (func(context.Context, *Engine) error, error) {
	found, err := r.wanted.Rehearse(ctx, c)
	return func(ctx context.Context, e *Engine) error { return r.look(ctx, e, found) }, err
}

// look refuses a job for which the rows, or the disk, are not as they have to be.
func (r rebuild) look(ctx context.Context, e *Engine, found reshape.Rehearsed) error {
	breaches, err := e.breaches(ctx, found.Rules)
	if err != nil {
		return err
	}
	if len(breaches) > 0 {
		return fmt.Errorf("%w: %s", ErrShape, strings.Join(breaches, "; "))
	}
	return nil
}

// beside runs fn on a connection on which TEMP tables do not show to the application, nor hold it up, where
// there can be one.
func (e *Engine) beside(ctx context.Context, fn func(q lite.Querier, between func() error) error) error {
	conn, err := e.readQuerier().Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	defer conn.Close()
	var breath kernel.Timer
	defer breath.Close()
	return fn(conn, func() error {
		breath.Sleep(breathTime)
		return ctx.Err()
	})
}

// breaches says what is wrong with the rows.
func (e *Engine) breaches(ctx context.Context, rules reshape.Rules) (texts []string, err error) {
	err = e.beside(ctx, func(q lite.Querier, between func() error) error {
		texts, err = reshape.Look{Rules: rules, Between: between}.Breaches(ctx, q)
		return err
	})
	return texts, err
}
