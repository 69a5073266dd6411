package rowfunc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Copies are rows that have been copied elsewhere, by key, with a digest of what was copied. A
// statement can ask for each row whether it still is as its copy. It is safe for concurrent use
// once it is open.
type Copies struct {
	handle int64
	rows   map[string]copied
}

// copied is what is known of a copy.
type copied struct {
	hash  string
	wrong error // why there is no copy that could stand for the row
}

const sqlIsCopied = "chunkfill_is_copied" // (handle, digest or NULL, literal…): reports whether the row is as its copy, or has one

var copySets sync.Map // handle int64 -> *Copies

func init() {
	sqlite.Register(sqlite.Function{Name: sqlIsCopied, Args: -1, Call: func(args []sqlite.Value) (sqlite.Value, error) {
		if len(args) > 2 {
			if set, ok := copySets.Load(args[0]); ok {
				return set.(*Copies).is(args[1], args[2:])
			}
		}
		return nil, errors.New(sqlIsCopied + " is for chunkfill's own statements")
	}})
}

// OpenCopies returns a set without rows. Close it. It has the lowest handle that is free: batch after batch has the
// same one then, and statements stay compiled.
func OpenCopies() *Copies {
	c := &Copies{handle: 1, rows: map[string]copied{}}
	for _, taken := copySets.LoadOrStore(c.handle, c); taken; _, taken = copySets.LoadOrStore(c.handle, c) {
		c.handle++
	}
	return c
}

// Add adds a row, by its key and the digest of its values.
func (c *Copies) Add(key []string, hash []byte) { c.rows[join(key)] = copied{hash: string(hash)} }

// Refuse adds a row that must stay; to ask for it is an error.
func (c *Copies) Refuse(key []string, why error) { c.rows[join(key)] = copied{wrong: why} }

// Close releases the set.
func (c *Copies) Close() {
	if c != nil {
		copySets.Delete(c.handle)
	}
}

// Has returns the SQL condition that a row is in the set and as it was copied, given the
// expressions of its digest and of its key's literals.
func (c *Copies) Has(hash, literals string) string {
	return fmt.Sprintf("%s(%d, %s, %s)", sqlIsCopied, c.handle, hash, literals)
}

// Includes returns the SQL condition that a row is in the set, whatever it is by now.
func (c *Copies) Includes(literals string) string { return c.Has("NULL", literals) }

func (c *Copies) is(hash sqlite.Value, args []sqlite.Value) (sqlite.Value, error) {
	key, err := literals(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sqlIsCopied, err)
	}
	row, found := c.rows[key]
	if row.wrong != nil {
		return nil, row.wrong
	}
	if hash == nil && found {
		return int64(1), nil
	}
	sum, _ := hash.([]byte)
	if found && row.hash == string(sum) {
		return int64(1), nil
	}
	return int64(0), nil
}

// literals returns a key, which a function is given as its literals, as a single text.
func literals(args []sqlite.Value) (string, error) {
	key := make([]string, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			key[i] = strings.Clone(a)
		case int64: // a rowid, which is its own literal
			key[i] = strconv.FormatInt(a, 10)
		default:
			return "", fmt.Errorf("a key of type %T", a)
		}
	}
	return join(key), nil
}
