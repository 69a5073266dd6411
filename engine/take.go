package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// Take makes this run the owner of the job, new or left by another.
func (s *session) Take(ctx context.Context) (cp checkpoint.Checkpoint, err error) {
	if !s.surveyed {
		if s.total, err = s.survey(ctx); err != nil {
			return cp, err
		}
		s.surveyed = true
	}
	err = s.record(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		cp, err = s.takeTx(ctx, c)
		return err
	})
	if err == nil && s.earlier != (checkpoint.Tuning{}) {
		s.logTuning(cp.Request.Tuning)
	}
	return cp, err
}

// logTuning says what of an earlier run's tuning still holds, and what was replaced. It is
// not for a hold: a logger of the host's may want the connection.
func (s *session) logTuning(now checkpoint.Tuning) {
	if now != (checkpoint.Tuning{}) {
		s.log.Warn("chunkfill: what was tuned in an earlier run still holds", "tuned", now.Words())
	}
	if now != s.earlier {
		s.log.Warn("chunkfill: what was tuned in an earlier run is replaced by what this one asks for", "tuned", s.earlier.Words())
	}
}

// survey counts the rows for a new job whose progress cannot be told otherwise, for
// want of arithmetic in its key, on the reader where there is one.
func (s *session) survey(ctx context.Context) (total int64, err error) {
	q := s.e.readQuerier()
	if _, err := checkpoint.Load(ctx, q, s.spec.Name); !errors.Is(err, checkpoint.ErrUnknown) {
		return 0, err
	}
	if s.table.Key.Rowid {
		return 0, nil
	}
	return s.table.CountRows(ctx, q)
}

func (s *session) takeTx(ctx context.Context, c lite.Querier) (cp checkpoint.Checkpoint, err error) {
	if err := checkpoint.UpgradeTx(ctx, c); err != nil {
		return cp, err
	}
	cp, err = checkpoint.Load(ctx, c, s.spec.Name)
	known := err == nil
	switch {
	case errors.Is(err, checkpoint.ErrUnknown):
		cp, err = s.begin(ctx, c)
	case err == nil:
		err = s.compatible(cp)
	}
	if err == nil && known && cp.Phase != checkpoint.Done {
		cp.Upper, err = s.markNewest(ctx, c, cp.Upper)
	}
	if err != nil {
		return cp, err
	}

	if cp.Phase != checkpoint.Done {
		cp.Phase, cp.Reason, cp.Error = checkpoint.Running, "", ""
	}
	now := time.Now()
	cp.RunID, cp.Owner = uuid.NewString(), s.e.owner(now)
	if err := s.adopt(ctx, c, cp); err != nil || cp.Phase == checkpoint.Done {
		return cp, err
	}
	if err := checkpoint.Take(ctx, c, cp, now); err != nil {
		return cp, err
	}
	if cp.Request.Tuning, err = s.resetTuning(ctx, c, cp.Request.Tuning); err != nil {
		return cp, err
	}

	name := "started"
	if known {
		name = "resumed"
	}
	return cp, checkpoint.AddEvent(ctx, c, s.spec.Name, checkpoint.Event{At: now, Event: name, By: s.e.cfg.Actor, Detail: s.spec.String()})
}

// resetTuning takes back what was tuned in an earlier run where this one asks for
// something itself.
func (s *session) resetTuning(ctx context.Context, q lite.Querier, earlier checkpoint.Tuning) (checkpoint.Tuning, error) {
	s.earlier = earlier
	if earlier == (checkpoint.Tuning{}) {
		return earlier, nil
	}

	now := earlier
	if s.e.cfg.ResetTargetHold {
		now.TargetHold = 0
	}
	if s.e.cfg.ResetMaxRate {
		now.MaxRate = 0
	}
	if now == earlier {
		return now, nil
	}
	if err := checkpoint.Tune(ctx, q, s.spec.Name, now); err != nil {
		return now, err
	}
	return now, s.e.note(ctx, q, s.spec.Name, "tuned", "a new run asks for another pace than was tuned before: "+earlier.Words())
}

// begin is the checkpoint of a job that has not run before: its bounds are those
// of the table as it is now.
func (s *session) begin(ctx context.Context, q lite.Querier) (checkpoint.Checkpoint, error) {
	lower, upper, err := s.table.Key.Bounds(ctx, q)
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	var newest []newRow
	if s.boundByNewest() {
		if newest, err = s.findNewest(ctx, q); err != nil {
			return checkpoint.Checkpoint{}, err
		}
	}
	return checkpoint.Checkpoint{
		Name: s.spec.Name, Fingerprint: s.fingerprint, Definition: s.plain().String(), Table: s.spec.Table,
		Lower: lower.Encode(), Upper: encodeUpper(upper, newest), Pass: 1, Total: s.total, Left: -1,
	}, nil
}

// adopt continues from a checkpoint.
func (s *session) adopt(ctx context.Context, q checkpoint.Querier, cp checkpoint.Checkpoint) (err error) {
	if s.lower, err = s.table.Key.DecodePos(cp.Lower); err != nil {
		return fmt.Errorf("%w of %s: %w", checkpoint.ErrUnreadable, cp.Name, err)
	}
	s.runID = cp.RunID
	s.cursor.text = cp.Cursor
	if s.cursor.pos, err = s.table.Key.DecodePos(cp.Cursor); err != nil {
		return fmt.Errorf("%w of %s: %w", checkpoint.ErrUnreadable, cp.Name, err)
	}

	s.newest.close() // of an attempt before
	s.upper.text = cp.Upper
	if s.upper.pos, s.newest, err = s.decodeUpper(cp.Upper); err != nil {
		return fmt.Errorf("%w of %s: %w", checkpoint.ErrUnreadable, cp.Name, err)
	}
	var aside []lite.Pos
	if cp.Pass == 2 {
		if aside, err = s.quarantined(ctx, q); err != nil {
			return err
		}
	}
	s.setPass(cp.Pass, aside)
	return nil
}
