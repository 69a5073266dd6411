package engine_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
)

// TestTune changes what is given, leaves what is zero, and takes back what is reset. Planted
// and caught: what is zero taken back; nothing that can be reset; an event for no change.
func TestTune(t *testing.T) {
	db := open(t, numbers(5)...)
	e := newEngine(t, db, engine.Config{Window: closedWindow()})
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Waiting)

	for i, c := range []struct {
		tuning engine.Tuning
		want   checkpoint.Tuning
		events string
	}{
		{engine.Tuning{TargetHold: time.Millisecond}, checkpoint.Tuning{TargetHold: time.Millisecond}, "1"},
		{engine.Tuning{MaxRate: 50}, checkpoint.Tuning{TargetHold: time.Millisecond, MaxRate: 50}, "2"},
		{engine.Tuning{}, checkpoint.Tuning{TargetHold: time.Millisecond, MaxRate: 50}, "2"},
		{engine.Tuning{MaxRate: 50}, checkpoint.Tuning{TargetHold: time.Millisecond, MaxRate: 50}, "2"},
		{engine.Tuning{ResetTargetHold: true}, checkpoint.Tuning{MaxRate: 50}, "3"},
		{engine.Tuning{ResetMaxRate: true, TargetHold: time.Second}, checkpoint.Tuning{TargetHold: time.Second}, "4"},
		{engine.Tuning{MaxRate: -1}, checkpoint.Tuning{TargetHold: time.Second, MaxRate: -1}, "5"},
		{engine.Tuning{ResetTargetHold: true, ResetMaxRate: true}, checkpoint.Tuning{}, "6"},
	} {
		if err := e.Tune(testContext(t), "inc", c.tuning); err != nil {
			t.Fatal(err)
		}
		s, err := engine.ReadStatus(testContext(t), db, "inc")
		if err != nil || s.Request.Tuning != c.want {
			t.Errorf("%d: %+v, %v; want %+v", i, s.Request.Tuning, err, c.want)
		}
		wantValue(t, db, c.events, "SELECT count(*) FROM _async_migration_events WHERE event = 'tuned'")
	}
	wantValue(t, db, "as configured (before: target hold 1s, no cap on rows/s)", "SELECT detail FROM _async_migration_events WHERE event = 'tuned' ORDER BY id DESC LIMIT 1")

	for _, c := range []struct {
		field  string
		tuning engine.Tuning
	}{
		{"TargetHold", engine.Tuning{TargetHold: time.Microsecond}},
		{"TargetHold", engine.Tuning{TargetHold: time.Hour}},
		{"TargetHold", engine.Tuning{TargetHold: time.Millisecond, ResetTargetHold: true}},
		{"MaxRate", engine.Tuning{MaxRate: math.NaN()}},
		{"MaxRate", engine.Tuning{MaxRate: math.Inf(1)}},
		{"MaxRate", engine.Tuning{MaxRate: 1, ResetMaxRate: true}},
	} {
		wantConfigError(t, e.Tune(testContext(t), "inc", c.tuning), c.field)
	}
}

// TestConfigErrors name the field, and match ErrConfig and what reading the value said.
// Planted and caught: a plain error for one of them; a field named wrongly.
func TestConfigErrors(t *testing.T) {
	db := open(t)
	for _, c := range []struct {
		field string
		cfg   engine.Config
	}{
		{"TargetHold", engine.Config{TargetHold: time.Microsecond}},
		{"TargetHold", engine.Config{TargetHold: time.Minute}},
		{"QuietHold", engine.Config{TargetHold: 3 * time.Millisecond, QuietHold: 2 * time.Millisecond}},
		{"QuietHold", engine.Config{QuietHold: time.Minute}},
		{"WALBudget", engine.Config{WALBudget: 5}},
		{"WALCap", engine.Config{SoleProcess: true, WALCap: 5}},
		{"RowTimeout", engine.Config{RowTimeout: time.Microsecond}},
		{"MaxRate", engine.Config{MaxRate: -1}},
		{"Window", engine.Config{Window: "whenever"}},
	} {
		_, err := engine.New(db, c.cfg)
		wantConfigError(t, err, c.field)
	}
	_, err := engine.New(nil, engine.Config{})
	wantConfigError(t, err, "db")
}

func wantConfigError(t *testing.T, err error, field string) {
	t.Helper()
	var wrong *engine.ConfigError
	if !errors.As(err, &wrong) || !errors.Is(err, engine.ErrConfig) || wrong.Field != field {
		t.Errorf("%v; want a ConfigError of %s", err, field)
	}
}
