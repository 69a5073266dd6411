package flags

import (
	"errors"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/engine"
)

// InMessage names flags where a message of the engine names the fields of its Config.
func InMessage(err error) error {
	if !errors.Is(err, engine.ErrConfig) {
		return err
	}
	text, _ := strings.CutPrefix(err.Error(), engine.ErrConfig.Error()+": ")
	return exit.Usagef("%s", strings.NewReplacer("TargetHold", "--target-hold", "MaxRate", "--max-rate", "SwapWindow", "--swap-window", "Window", "--window",
		"WALBudget", "--wal-budget").Replace(text))
}
