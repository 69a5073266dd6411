package lite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"

	_ "modernc.org/sqlite"
)

// compiler counts what it compiles.
type compiler struct {
	driver.Conn
	compiled int
}

func (c *compiler) Prepare(text string) (driver.Stmt, error) {
	c.compiled++
	return c.Conn.Prepare(text)
}

// TestStatementsOfALateStep: the statements of a job of many steps are kept compiled in each of them. Planted and caught: no room
// made for those of a late step; a statement closed to make room while it is used.
func TestStatementsOfALateStep(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.Raw(func(c any) error {
		of := &compiler{Conn: c.(driver.Conn)}
		s := statements{keep: true}
		get := func(text string) *statement {
			st, err := s.get(context.Background(), of, text)
			if err == nil {
				_, err = st.exec(context.Background(), nil)
			}
			if err != nil {
				t.Fatal(text, err)
			}
			return st
		}
		for range often - 1 {
			get("SELECT 'long'").release()
		}
		long := get("SELECT 'long'")

		for step := range 3 * maxKept {
			text := fmt.Sprint("SELECT ", step)
			before := of.compiled
			for range 10 {
				get(text).release()
			}
			if n := of.compiled - before; n > often {
				t.Fatalf("a statement of step %d was compiled %d times in ten uses", step, n)
			}
		}
		if _, err := long.exec(context.Background(), nil); err != nil {
			t.Error("a statement in use:", err)
		}
		long.release()
		if n := len(s.compiled); n > maxKept {
			t.Errorf("%d statements are kept", n)
		}
		return s.close()
	})
}
