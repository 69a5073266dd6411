package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/record"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// setAside puts the one row of a batch into quarantine: it has failed, in this hold.
func (b *batch) setAside(ctx context.Context, c lite.Querier, cause error) error {
	// SQLite returns the same code for an error of the statement as for one of a row.
	if !ofRow(cause) {
		return cause
	}
	_, err := b.s.refreshed(ctx, c)
	if err == nil {
		err = b.s.stmt.Compile(ctx, c, b.s.table.Key)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w (when %w)", ErrTableChanged, err, cause)
	case b.out.Rows != 1:
		return cause // it failed before it knew its row, or that row cannot be told from the next
	case b.s.undo != nil:
		return b.refuse(ctx, c, cause)
	case b.From.Quarantined >= int64(b.QuarantineLimit):
		return fmt.Errorf("%w: %d are quarantined already (QuarantineLimit %d) and row (%s) failed too: %w",
			ErrTooManyBadRows, b.From.Quarantined, b.QuarantineLimit, b.end, causeOf(cause))
	}

	b.out.Changed, b.out.Bad, b.out.Key = 0, causeOf(cause), b.end.String()
	now := time.Now()
	if err := record.QuarantineTx(ctx, c, b.s.name, b.From.Of, b.end.Encode(), b.out.Bad.Error(), now); err != nil {
		return err
	}
	if err := record.AddEvent(ctx, c, b.s.spec.Name, checkpoint.Event{At: now, Event: "quarantined",
		By: b.s.e.cfg.Actor, Detail: fmt.Sprintf("row (%s): %v", b.end, b.out.Bad)}); err != nil {
		return err
	}
	return b.save(ctx, c, now)
}

// refuse notes of the one row of a batch why it was not put back: it has failed, in this hold.
func (b *batch) refuse(ctx context.Context, c lite.Querier, cause error) error {
	if err := b.s.step.back.Refuse(ctx, c, b.s.table.Key, b.end, causeOf(cause).Error()); err != nil {
		return err
	}
	b.out.Changed = 0
	return b.save(ctx, c, time.Now())
}

// retryQuarantined applies the job to the rows set aside, one hold each.
func (e *Engine) retryQuarantined(ctx context.Context, p plan) (err error) {
	if p.program != nil {
		begun, err := record.Load(ctx, e.readQuerier(), p.spec.Name)
		if err != nil || begun.Quarantined == 0 {
			return err
		}
		if p, err = e.planStep(ctx, e.readQuerier(), p, begun.Of); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.program.end(ctx)) }()
	}
	if err := e.findImages(ctx, &p); err != nil {
		return err
	}
	calls := p.open()
	defer closeCalls(calls)
	statement, keeper := p.keeping(calls, []string{p.spec.Where}, true)
	aside, err := e.setAsides(ctx, p)
	if err != nil || len(aside) == 0 {
		return err
	}
	if err := waitForOlder(ctx, e.readQuerier(), e.file.Path, p.spec.Name, e.log); err != nil {
		return err
	}
	if err := e.write(ctx, func(ctx context.Context, c lite.Querier) error { return record.UpgradeTx(ctx, c) }); err != nil {
		return err
	}
	for _, row := range aside {
		if err := e.retryRow(ctx, p, statement, keeper, row); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) retryRow(ctx context.Context, p plan, statement lite.Statement, keeper *images.Keeper, row asideRow) error {
	name, key, place := p.spec.Name, row.key, row.place
	attempt := func(ctx context.Context, c lite.Querier) error {
		changed := 0
		err := lite.Guarded(ctx, c, func() (err error) {
			only := p.table.Key.Only(place)
			changed, err = keeper.Around(ctx, c, only, func() (int, error) { return p.run(ctx, c, statement, []string{p.spec.Where}, only, true) })
			return err
		})
		if err != nil {
			return err
		}
		if err := record.ReleaseTx(ctx, c, name, row.step, key, changed); err != nil {
			return err
		}
		return e.note(ctx, c, name, "released", fmt.Sprintf("row (%s) is mended", place))
	}
	return e.try(ctx, attempt, func(ctx context.Context, c lite.Querier, cause error) error {
		return record.QuarantineTx(ctx, c, name, row.step, key, cause.Error(), time.Now())
	})
}
