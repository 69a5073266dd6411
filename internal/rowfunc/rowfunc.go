// Package rowfunc lets an UPDATE call a Go function of one job: SQL functions, registered
// with the driver once, find the job by a handle and its result by the row's values.
//
// Results may be computed beforehand, outside the writer (see [Chunk]). They are looked up
// by the values that the function was given, so a row that has changed since is not found
// and its result is computed again on the spot: nothing is ever overwritten with a result
// of old values, and no key has to pass through Go.
//
// [Open] registers a function for a run; [Calls.Changes] and [Calls.Value] are its SQL.
package rowfunc

import (
	"bytes"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Func maps the values that a row was read with to the values to write. It must depend on
// nothing else. Values are nil, int64, float64, string or []byte.
type Func func(read []any) (write []any, err error)

// ErrSkip is returned by a Func to leave its row as it is.
var ErrSkip = errors.New("leave this row as it is")

// The SQL functions. Their first argument is the handle.
const (
	sqlChanges = "chunkfill_changes" // (handle, read…): reports whether to write the row
	sqlValue   = "chunkfill_value"   // (handle, i, read…): the i-th value to write
	sqlCollect = "chunkfill_collect" // (handle, read…): adds the values to the open chunk
)

func init() {
	for name, scalar := range map[string]func(*Calls, []sqlite.Value) (sqlite.Value, error){
		sqlChanges: (*Calls).changes,
		sqlValue:   (*Calls).value,
		sqlCollect: (*Calls).collect,
	} {
		sqlite.Register(sqlite.Function{Name: name, Args: -1, WholeTexts: true, Call: func(args []sqlite.Value) (sqlite.Value, error) {
			calls, err := find(name, args)
			if err != nil {
				return nil, err
			}
			if err := restore(args); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return scalar(calls, args[1:])
		}})
	}
}

var (
	registry   sync.Map // handle int64 -> *Calls
	lastHandle atomic.Int64
)

func find(name string, args []sqlite.Value) (*Calls, error) {
	if len(args) > 0 {
		if handle, ok := args[0].(int64); ok {
			if calls, ok := registry.Load(handle); ok {
				return calls.(*Calls), nil
			}
		}
	}
	return nil, fmt.Errorf("%s is for chunkfill's own statements", name)
}

// Calls is the function of one job, open for the time of a run. The SQL functions may be
// called from several connections at once.
type Calls struct {
	// Spare says that the writer is waiting for results, so that one more processor is free
	// for computing.
	Spare atomic.Bool

	fn      Func
	outputs int
	limit   time.Duration
	handle  int64
	chunks  atomic.Pointer[[]*Chunk] // results computed beforehand, oldest first

	mu      sync.Mutex // guards the fields below, and how a chunk finds rows
	last    []any      // values of the current row
	result  result     // their result; each written column asks for it in turn
	met     bool       // a value was requested for a row that is to stay as it is
	pending *Chunk     // filled by collect
	buf     []byte
}

type result struct {
	write []sqlite.Value
	err   error
}

// Open makes fn callable. outputs is the number of values it returns; limit is how long it
// may take for one row before that row counts as failed.
func Open(fn Func, outputs int, limit time.Duration) *Calls {
	c := &Calls{fn: fn, outputs: outputs, limit: limit, handle: lastHandle.Add(1)}
	c.chunks.Store(&[]*Chunk{})
	registry.Store(c.handle, c)
	return c
}

// Close makes fn unavailable again.
func (c *Calls) Close() { registry.Delete(c.handle) }

// Changes returns the SQL condition under which a row is to be written; read lists the
// quoted columns.
func (c *Calls) Changes(read string) string {
	return fmt.Sprintf("%s(%d, %s)", sqlChanges, c.handle, read)
}

// Value returns the SQL expression of the i-th value to write.
func (c *Calls) Value(i int, read string) string {
	return fmt.Sprintf("%s(%d, %d, %s)", sqlValue, c.handle, i, read)
}

// Collect returns the SQL expression that adds a row's values to the chunk of Gather.
func (c *Calls) Collect(read string) string {
	return fmt.Sprintf("%s(%d, %s)", sqlCollect, c.handle, read)
}

func (c *Calls) changes(args []sqlite.Value) (sqlite.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.lookup(args)
	if errors.Is(r.err, ErrSkip) {
		return int64(0), nil
	}
	return int64(1), r.err
}

func (c *Calls) value(args []sqlite.Value) (sqlite.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := args[0].(int64)
	if !ok || i < 0 || int(i) >= c.outputs {
		return nil, fmt.Errorf("%s has no value %v", sqlValue, args[0])
	}
	r := c.lookup(args[1:])
	if r.err != nil {
		c.met = c.met || errors.Is(r.err, ErrSkip)
		return nil, r.err
	}
	return r.write[i], nil
}

// MetSkip reports, once, whether a statement without Changes reached a row that is to stay
// as it is, which made it fail.
func (c *Calls) MetSkip() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	met := c.met
	c.met = false
	return met
}

// lookup returns the result for these values: that of the current row, one computed
// beforehand, or one computed now.
func (c *Calls) lookup(args []sqlite.Value) result {
	if c.last != nil && same(c.last, args) {
		return c.result
	}
	c.last, c.result = c.find(args)
	return c.result
}

func (c *Calls) find(args []sqlite.Value) ([]any, result) {
	chunks := *c.chunks.Load()
	for _, chunk := range chunks {
		if read, r := chunk.following(args); r != nil {
			return read, *r
		}
	}
	c.buf = encode(c.buf[:0], args)
	for _, chunk := range chunks {
		if read, r := chunk.anywhere(c.buf); r != nil {
			return read, *r
		}
	}
	read := clone(args)
	return read, c.callLimited(read)
}

// callLimited is call for a goroutine that holds the writer: after the limit it continues
// without an answer. Nothing can stop a Go function, so one that never returns leaves its
// goroutine behind.
func (c *Calls) callLimited(read []any) result {
	answer := make(chan result, 1)
	go c.call(read, func(r result) { answer <- r })
	timer := time.NewTimer(c.limit)
	defer timer.Stop()
	select {
	case r := <-answer:
		return r
	case <-timer.C:
		return result{err: c.tooLong()}
	}
}

func (c *Calls) tooLong() error {
	return fmt.Errorf("the row function took longer than %v", c.limit)
}

// call runs the function on a copy of the values, which it may change: the originals are
// needed to find its row again. A panic is an error of the row, and so is the end of the
// goroutine (runtime.Goexit), after which call does not return; told is called in each
// case.
func (c *Calls) call(read []any, told func(result)) {
	r := result{err: errors.New("the row function ended its goroutine (runtime.Goexit)")}
	defer func() {
		if p := recover(); p != nil {
			r = result{err: fmt.Errorf("panic: %v", p)}
		}
		told(r)
	}()
	r = c.answer(read)
}

func (c *Calls) answer(read []any) result {
	write, err := c.fn(own(read))
	if err != nil {
		return result{err: err}
	}
	return c.check(write)
}

func (c *Calls) check(write []any) result {
	if len(write) != c.outputs {
		return result{err: fmt.Errorf("the row function returned %d values for %d columns", len(write), c.outputs)}
	}
	values := make([]sqlite.Value, len(write))
	for i, w := range write {
		v, err := driver.DefaultParameterConverter.ConvertValue(w)
		if err != nil {
			return result{err: fmt.Errorf("value %d of the row function: %w", i, err)}
		}
		switch v := v.(type) {
		case nil, int64, float64, string:
			values[i] = v
		case []byte:
			values[i] = bytes.Clone(v) // the function may reuse its buffer
		case bool:
			values[i] = map[bool]int64{true: 1}[v]
		default:
			return result{err: fmt.Errorf("value %d of the row function is a %T; SQLite stores nil, integers, floats, strings and []byte", i, w)}
		}
	}
	return result{write: values}
}

// clone copies arguments out of SQLite's memory, which the next row reuses.
func clone(args []sqlite.Value) []any {
	copied := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			copied[i] = strings.Clone(a)
		case []byte:
			copied[i] = append([]byte{}, a...)
		default:
			copied[i] = a
		}
	}
	return copied
}

func own(read []any) []any {
	read = slices.Clone(read)
	for i, v := range read {
		if b, ok := v.([]byte); ok {
			read[i] = bytes.Clone(b)
		}
	}
	return read
}

// same reports whether the values are identical, down to the bits of a float.
func same[Value any](read []any, args []Value) bool {
	if len(read) != len(args) {
		return false
	}
	for i, a := range args {
		var equal bool
		switch a := any(a).(type) {
		case string:
			r, ok := read[i].(string)
			equal = ok && r == a
		case []byte:
			r, ok := read[i].([]byte)
			equal = ok && bytes.Equal(r, a)
		case int64:
			r, ok := read[i].(int64)
			equal = ok && r == a
		case float64:
			r, ok := read[i].(float64)
			equal = ok && math.Float64bits(r) == math.Float64bits(a)
		case nil:
			equal = read[i] == nil
		}
		if !equal {
			return false
		}
	}
	return true
}

// encode appends an injective encoding of the values: a tag, and a length where it varies.
func encode[Value any](buf []byte, args []Value) []byte {
	for _, a := range args {
		switch a := any(a).(type) {
		case nil:
			buf = append(buf, 'n')
		case int64:
			buf = binary.LittleEndian.AppendUint64(append(buf, 'i'), uint64(a))
		case float64:
			buf = binary.LittleEndian.AppendUint64(append(buf, 'f'), math.Float64bits(a))
		case string:
			buf = append(binary.AppendUvarint(append(buf, 's'), uint64(len(a))), a...)
		case []byte:
			buf = append(binary.AppendUvarint(append(buf, 'b'), uint64(len(a))), a...)
		default:
			buf = fmt.Appendf(append(buf, '?'), "%T %[1]v", a)
		}
	}
	return buf
}
