//go:build go1.25

//go:debug asynctimerchan=0

package rowfunc

import (
	"database/sql/driver"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A row whose function does not come back within the limit has failed, beforehand as
// in place; the rows after it are computed, by as many workers as before; and what it
// returns in the end is not used. Planted and caught: no worker in the place of one
// that is given up; the late answer stored.
func TestTooLong(t *testing.T) {
	for _, spare := range []bool{false, true} {
		t.Run(fmt.Sprintf("spare=%t", spare), func(t *testing.T) { testTooLong(t, spare) })
	}
}

func testTooLong(t *testing.T, spare bool) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var late atomic.Int64
		c := Open(func(read []any) ([]any, error) {
			if read[0].(int64)%10 == 0 {
				<-release
				late.Add(1)
			}
			return []any{read[0]}, nil
		}, 1, time.Second)
		defer c.Close()
		c.Spare.Store(spare)
		chunk := gatherNumbers(t, c, 40)
		began := time.Now()
		chunk.Compute(t.Context(), 2)
		if took := time.Since(began); took < time.Second || took > 5*time.Second {
			t.Errorf("4 rows of 40 hang: it took %v with a limit of 1s and 2 workers", took)
		}
		if len(chunk.results) != 40 {
			t.Errorf("%d rows of 40 have a result", len(chunk.results))
		}
		for i := int64(1); i <= 40; i++ {
			got, err := c.value([]driver.Value{int64(0), i})
			if i%10 != 0 && (err != nil || got != i) {
				t.Errorf("row %d: %v, %v", i, got, err)
			}
			if i%10 == 0 && (err == nil || err.Error() != "the row function took longer than 1s") {
				t.Errorf("row %d: %v, %v", i, got, err)
			}
		}
		began = time.Now()
		if _, err := c.value([]driver.Value{int64(0), int64(50)}); err == nil || time.Since(began) != time.Second {
			t.Errorf("in place: %v after %v", err, time.Since(began))
		}
		close(release)
		synctest.Wait()
		if late.Load() != 5 {
			t.Errorf("%d calls came back late, want 5", late.Load())
		}
		if got, err := c.value([]driver.Value{int64(0), int64(10)}); err == nil {
			t.Errorf("row 10 is %v: a late answer was used", got)
		}
	})
}

// A slow function that stays within the limit is never given up, however many rows
// there are. Planted and caught: given up at the first look.
func TestSlowIsNotTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Open(func(read []any) ([]any, error) {
			time.Sleep(999 * time.Millisecond)
			return []any{read[0]}, nil
		}, 1, time.Second)
		defer c.Close()
		chunk := gatherNumbers(t, c, 50)
		began := time.Now()
		chunk.Compute(t.Context(), 5)
		if took := time.Since(began); took != 10*999*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		for i := int64(1); i <= 50; i++ {
			if got, err := c.value([]driver.Value{int64(0), i}); err != nil || got != i {
				t.Errorf("row %d: %v, %v", i, got, err)
			}
		}
	})
}

// One worker more is there while a processor is to spare, and only then. Planted and
// caught: no more, one that stays, one for each row, none the second time.
func TestSpareProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Open(func(read []any) ([]any, error) {
			time.Sleep(10 * time.Millisecond)
			return []any{read[0]}, nil
		}, 1, time.Second)
		defer c.Close()
		const ms = time.Millisecond
		for _, test := range []struct {
			spare []time.Duration // when it is, and is not, to spare
			want  time.Duration   // for 100 rows
		}{
			{nil, 1000 * ms},
			{[]time.Duration{0}, 500 * ms},
			{[]time.Duration{0, 245 * ms}, 750 * ms},
			{[]time.Duration{245 * ms}, 630 * ms},
			{[]time.Duration{0, 95 * ms, 295 * ms, 395 * ms}, 800 * ms},
		} {
			c.Spare.Store(false)
			for i, at := range test.spare {
				time.AfterFunc(at, func() { c.Spare.Store(i%2 == 0) })
			}
			synctest.Wait()
			chunk := gatherNumbers(t, c, 100)
			began := time.Now()
			chunk.Compute(t.Context(), 1)
			if took := time.Since(began); took != test.want {
				t.Errorf("spare at %v: it took %v, want %v", test.spare, took, test.want)
			}
			chunk.Drop()
		}
	})
}

func gatherNumbers(t *testing.T, c *Calls, n int64) *Chunk {
	t.Helper()
	chunk, err := c.Gather(func() error {
		for i := int64(1); i <= n; i++ {
			if _, err := c.collect([]driver.Value{i}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

// Two rows have one encoding only if they are the same: a result is found by it.
// Planted and caught: no lengths, one mark for integers and floats, none for NULL.
func TestEncodeIsInjective(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	texts := []string{"", "a", "b", "ab", "ba", "s\x01a", "n", "i\x00", "\x00", strings.Repeat("a", 127), strings.Repeat("a", 128)}
	value := func() driver.Value {
		text := texts[r.IntN(len(texts))]
		switch r.IntN(5) {
		case 0:
			return nil
		case 1:
			return int64(r.IntN(5)-2) << (8 * r.IntN(8))
		case 2:
			f := []float64{0, math.Copysign(0, -1), 1, 2, -1, 256, 1e300, math.Inf(1)}[r.IntN(8)]
			if r.IntN(2) == 0 {
				return int64(math.Float64bits(f))
			}
			return f
		case 3:
			return text
		}
		return []byte(text)
	}
	seen := map[string]string{}
	for range 100_000 {
		row := make([]driver.Value, 1+r.IntN(3))
		for i := range row {
			row[i] = value()
		}
		said := fmt.Sprintf("%#v %v", row, negativeZeros(row))
		encoded := string(encode(nil, row))
		if other, ok := seen[encoded]; ok && other != said {
			t.Fatalf("%s and %s have the encoding %q", said, other, encoded)
		}
		seen[encoded] = said
	}
	if len(seen) < 10_000 {
		t.Errorf("only %d different rows", len(seen))
	}
}

func negativeZeros(row []driver.Value) (n []int) {
	for i, v := range row {
		if f, ok := v.(float64); ok && f == 0 && math.Signbit(f) {
			n = append(n, i)
		}
	}
	return n
}
