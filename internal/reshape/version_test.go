package reshape

import (
	"errors"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// TestSQLiteThatIsTooOld is named, with the version that would do.
func TestSQLiteThatIsTooOld(t *testing.T) {
	for version, old := range map[string]bool{"3.36.0": true, "2.8.17": true, "": true, "3.37.0": false, "3.46.0": false, "4.0.0": false} {
		err := newEnough(lite.ParseVersion(version))
		if old != errors.Is(err, ErrShape) || old && !strings.Contains(err.Error(), "needs 3.37.0 or later") {
			t.Errorf("%q: %v", version, err)
		}
	}
}
