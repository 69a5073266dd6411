package rowfunc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Keys is a set of keys that a statement can query for each row, at the same cost however
// many there are: a condition that lists keys is limited in length, and compiled for each
// batch. It is safe for concurrent use.
type Keys struct {
	handle int64
	all    map[string]struct{}
}

const sqlHasKey = "chunkfill_has_key" // (handle, literal…): reports whether the set has that key

var (
	keySets       sync.Map // handle int64 -> *Keys
	lastKeyHandle atomic.Int64
)

func init() {
	sqlite.Register(sqlite.Function{Name: sqlHasKey, Args: -1, Call: func(args []sqlite.Value) (sqlite.Value, error) {
		if len(args) > 1 {
			if keys, ok := keySets.Load(args[0]); ok {
				return keys.(*Keys).has(args[1:])
			}
		}
		return nil, errors.New(sqlHasKey + " is for chunkfill's own statements")
	}})
}

// OpenKeys returns a set of keys, each a list of SQL literals, that statements can query.
// Close it.
func OpenKeys(keys [][]string) *Keys {
	k := &Keys{handle: lastKeyHandle.Add(1), all: make(map[string]struct{}, len(keys))}
	for _, key := range keys {
		k.all[join(key)] = struct{}{}
	}
	keySets.Store(k.handle, k)
	return k
}

// Close releases the set.
func (k *Keys) Close() { keySets.Delete(k.handle) }

// Lacks returns the SQL condition that a row's key, given as the expressions of its
// literals, is not in the set.
func (k *Keys) Lacks(literals string) string {
	return fmt.Sprintf("NOT %s(%d, %s)", sqlHasKey, k.handle, literals)
}

// Has reports whether the set has the key.
func (k *Keys) Has(key []string) bool {
	_, ok := k.all[join(key)]
	return ok
}

func (k *Keys) has(args []sqlite.Value) (sqlite.Value, error) {
	key := make([]string, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			key[i] = a
		case int64: // a rowid, which is its own literal
			key[i] = strconv.FormatInt(a, 10)
		default:
			return nil, fmt.Errorf("%s: a key of type %T", sqlHasKey, a)
		}
	}
	if k.Has(key) {
		return int64(1), nil
	}
	return int64(0), nil
}

// join returns a key as a single text. No literal contains a NUL.
func join(key []string) string { return strings.Join(key, "\x00") }
