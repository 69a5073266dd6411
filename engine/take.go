package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/pace"
	"github.com/chunkfill/chunkfill/internal/record"
)

// Take makes this run the owner of the job, new or left by another.
func (s *session) Take(ctx context.Context) (cp chunkfill.Checkpoint, err error) {
	if err := waitForOlder(ctx, s.e.readQuerier(), s.e.file.Path, s.spec.Name, s.log); err != nil {
		return cp, err
	}
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
	if s.program != nil {
		err = s.abandon(ctx, s.program.find(cp.Of), err)
	}
	if err == nil && s.earlier != (chunkfill.Tuning{}) {
		s.logTuning(cp.Request.Tuning)
	}
	return cp, err
}

// logTuning says what of an earlier run's tuning still holds, and what was replaced. It is
// not for a hold: a logger of the host's may want the connection.
func (s *session) logTuning(now chunkfill.Tuning) {
	if now != (chunkfill.Tuning{}) {
		s.log.Warn("chunkfill: what was tuned in an earlier run still holds", "tuned", now.Words())
	}
	if now != s.earlier {
		s.log.Warn("chunkfill: what was tuned in an earlier run is replaced by what this one asks for", "tuned", s.earlier.Words())
	}
}

// survey counts the rows for a new job whose progress cannot be told otherwise, for
// want of arithmetic in its key, on the reader where there is one.
func (s *session) survey(ctx context.Context) (total int64, err error) {
	if s.program != nil {
		return 0, nil // each walk counts its own
	}
	q := s.e.readQuerier()
	if _, err := record.Load(ctx, q, s.spec.Name); !errors.Is(err, ErrUnknownJob) {
		return 0, err
	}
	if s.table.Key.Rowid {
		return 0, nil
	}
	return s.table.CountRows(ctx, q)
}

func (s *session) takeTx(ctx context.Context, c lite.Querier) (cp chunkfill.Checkpoint, err error) {
	if err := record.UpgradeTx(ctx, c); err != nil {
		return cp, err
	}
	cp, err = record.Load(ctx, c, s.spec.Name)
	known := err == nil
	switch {
	case errors.Is(err, ErrUnknownJob):
		cp, err = s.begin(ctx, c)
	case err == nil && cp.Phase == chunkfill.Done:
		if err = s.compatible(cp); err == nil {
			err = s.adopt(ctx, c, cp)
		}
		return cp, err
	case err == nil:
		cp, err = s.goOnWith(ctx, c, cp)
	}
	if err != nil {
		return cp, err
	}

	if err := s.takeImages(ctx, c, known); err != nil {
		return cp, err
	}
	now := time.Now()
	cp.RunID, cp.Owner, cp.Reason, cp.Error = uuid.NewString(), s.e.owner(now), "", ""
	if err := s.adopt(ctx, c, cp); err != nil {
		return cp, err
	}
	if err := record.TakeTx(ctx, c, cp, now); err != nil {
		return cp, err
	}
	if cp.Request, err = record.Asked(ctx, c, s.spec.Name); err != nil { // of a new job, too: all may be paused
		return cp, err
	}
	if cp.Request.Tuning, err = s.resetTuning(ctx, c, cp); err != nil {
		return cp, err
	}

	name := "started"
	if known {
		name = "resumed"
	}
	return cp, record.AddEvent(ctx, c, s.spec.Name, chunkfill.Event{At: now, Event: name, By: s.e.cfg.Actor, Detail: cp.Definition})
}

// goOnWith is the record of a job that was begun, as this run takes it over.
func (s *session) goOnWith(ctx context.Context, c lite.Querier, cp chunkfill.Checkpoint) (chunkfill.Checkpoint, error) {
	if err := s.compatible(cp); err != nil {
		return cp, err
	}
	taken, err := s.steps().Taken(cp)
	if err != nil {
		return cp, fmt.Errorf("%w: %s: %w", ErrJobChanged, cp.Name, err)
	}
	if s.program == nil {
		taken.Upper, err = s.markNewest(ctx, c, taken.Upper)
	}
	return taken, err
}

// resetTuning takes back what was tuned in an earlier run where this one asks for
// something itself.
func (s *session) resetTuning(ctx context.Context, q lite.Querier, cp chunkfill.Checkpoint) (chunkfill.Tuning, error) {
	earlier := cp.Request.Tuning
	s.earlier = earlier
	if earlier == (chunkfill.Tuning{}) {
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
	if err := pace.TuneTx(ctx, q, cp, now); err != nil {
		return now, err
	}
	return now, s.e.note(ctx, q, s.spec.Name, "tuned", "a new run asks for another pace than was tuned before: "+earlier.Words())
}

// begin is the checkpoint of a job that has not run before: its bounds are those
// of the table as it is now.
func (s *session) begin(ctx context.Context, q lite.Querier) (chunkfill.Checkpoint, error) {
	cp, err := s.steps().Taken(chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{
		Name: s.spec.Name, Fingerprint: s.fingerprint, Definition: s.described(), Table: s.spec.Table, Left: -1,
	}})
	if err != nil || s.program != nil {
		return cp, err
	}
	lower, upper, err := s.table.Key.Bounds(ctx, q)
	if err != nil {
		return cp, err
	}
	var newest []newRow
	if s.boundByNewest() {
		if newest, err = s.findNewest(ctx, q); err != nil {
			return cp, err
		}
	}
	cp.Entered, cp.Lower, cp.Upper, cp.Total = true, lower.Encode(), encodeUpper(upper, newest), s.total
	return cp, nil
}

// described is the job for people.
func (p plan) described() string {
	if p.program != nil {
		return p.program.definition
	}
	return p.plain().String()
}

// adopt continues from a chunkfill.
func (s *session) adopt(ctx context.Context, q lite.Querier, cp chunkfill.Checkpoint) (err error) {
	s.runID = cp.RunID
	if s.program != nil {
		if !cp.Entered || cp.Phase != chunkfill.Running {
			return nil // no walk stands
		}
		if err := s.enterStep(ctx, q, cp); err != nil {
			return err
		}
	}
	return s.goOn(ctx, q, cp)
}

// goOn takes up the walk of a chunkfill.
func (w *walker) goOn(ctx context.Context, q record.Querier, cp chunkfill.Checkpoint) (err error) {
	if w.lower, err = w.table.Key.DecodePos(cp.Lower); err != nil {
		return fmt.Errorf("%w of %s: %w", ErrUnreadable, cp.Name, err)
	}
	w.cursor.text = cp.Cursor
	if w.cursor.pos, err = w.table.Key.DecodePos(cp.Cursor); err != nil {
		return fmt.Errorf("%w of %s: %w", ErrUnreadable, cp.Name, err)
	}

	w.newest.close() // of an attempt before
	w.upper.text = cp.Upper
	if w.upper.pos, w.newest, err = w.decodeUpper(cp.Upper); err != nil {
		return fmt.Errorf("%w of %s: %w", ErrUnreadable, cp.Name, err)
	}
	var aside []lite.Pos
	if cp.Pass == 2 {
		if aside, err = w.quarantined(ctx, q); err != nil {
			return err
		}
	}
	w.setPass(cp.Pass, aside)
	return nil
}

// takeImages finds the images of a job, or makes the table for a new one, in the hold in which
// the job is taken over.
func (s *session) takeImages(ctx context.Context, c lite.Querier, known bool) error {
	if !s.spec.KeepBefore {
		return nil
	}
	name := s.spec.Name
	kept, found, err := record.FindImages(ctx, c, name)
	switch {
	case err != nil:
		return err
	case !found && known:
		return fmt.Errorf("%w: those of %s have been removed, and what it changes from here on could be put back, but nothing before it; "+
			"forget the job, or leave KeepBefore out and give it another name", ErrNoImages, name)
	case found:
		set, err := images.Decode(kept.Table, kept.About)
		if err == nil {
			_, err = set.Source(s.table)
		}
		s.images = &set
		return err
	}

	set, err := s.describeImages(ctx, c)
	if err != nil {
		return err
	}
	if set.Images, err = freeImages(ctx, c); err != nil {
		return err
	}
	for _, statement := range set.Create() {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make a table for the images of %s: %w", name, err)
		}
	}
	s.images = &set
	return record.AddImagesTx(ctx, c, record.Images{Name: name, Table: set.Images, About: set.Encode()}, time.Now())
}

// freeImages returns a name for a table of images that no table has.
func freeImages(ctx context.Context, q lite.Querier) (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s%d", images.Prefix, n)
		var taken bool
		err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = ?)", name).Scan(&taken)
		if err != nil {
			return "", fmt.Errorf("look for a name of a table of images: %w", err)
		}
		if !taken {
			return name, nil
		}
	}
}
