package rowfunc

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// sqlHash digests its arguments by their types and bytes: 1 and 1.0, '1' and 1, blob and text, 0.0
// and -0.0 differ.
const sqlHash = "chunkfill_hash"

// hashSize is how much of the SHA-256 is kept: no two rows of any table share it by chance.
const hashSize = 16

// mostHashed is how many arguments one call takes, below SQLite's limit.
const mostHashed = 100

func init() {
	sqlite.Register(sqlite.Function{Name: sqlHash, Args: -1, Deterministic: true, WholeTexts: true, Call: func(args []sqlite.Value) (sqlite.Value, error) {
		if err := restore(args); err != nil {
			return nil, fmt.Errorf("%s: %w", sqlHash, err)
		}
		var room [512]byte
		sum := sha256.Sum256(encode(room[:0], args))
		return sum[:hashSize], nil
	}})
}

// Hash returns the SQL expression of a digest of values by type and bytes; exprs are columns,
// quoted. Rows of more columns than a function takes are digested in parts.
func Hash(exprs []string) string {
	var parts []string
	for len(exprs) > mostHashed {
		parts = append(parts, hashOf(exprs[:mostHashed]))
		exprs = exprs[mostHashed:]
	}
	if parts == nil {
		return hashOf(exprs)
	}
	return Hash(append(parts, exprs...))
}

func hashOf(exprs []string) string {
	if wholeTexts {
		return sqlHash + "(" + strings.Join(exprs, ", ") + ")"
	}
	return sqlHash + "(" + Arguments(exprs) + ")"
}
