package jobs_test

import (
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/jobs"
)

// An expression over the row's own columns. Values come in through Args.
func ExampleUpdate() {
	job := jobs.Update{
		Name:  "orders_currency_v1",
		Table: "orders",
		Set:   []jobs.Assign{{Column: "currency", Expr: "coalesce(currency, ?)"}},
		Where: "currency IS NULL",
		Args:  []any{"EUR"},
		Todo:  "currency IS NULL",
	}
	fmt.Println(job.Spec())
	// Output: UPDATE orders SET currency = coalesce(currency, ?) WHERE currency IS NULL
}

// A purge. Its condition is also what is left to do, so rows that appear behind
// the cursor get a second pass.
func ExampleDelete() {
	job := jobs.Delete{Name: "events_before_2024_v1", Table: "events", Where: "at < '2024-01-01'"}
	fmt.Println(job.Spec())
	fmt.Println(job.Spec().Todo)
	// Output:
	// DELETE FROM events WHERE at < '2024-01-01'
	// at < '2024-01-01'
}

// A Go function over rows. ErrSkip leaves a row as it is.
func ExampleTransform() {
	job := jobs.Transform{
		Name:    "notes_trim_v1",
		Table:   "notes",
		Read:    []string{"body"},
		Write:   []string{"body", "words"},
		Version: "1", // change it with Row
		Row: func(read []any) ([]any, error) {
			body, ok := read[0].(string)
			if !ok {
				return nil, jobs.ErrSkip
			}
			words := strings.Fields(body)
			return []any{strings.Join(words, " "), len(words)}, nil
		},
	}
	fmt.Println(job.Spec())
	fmt.Println(job.Row([]any{"  two   words "}))
	fmt.Println(job.Row([]any{nil}))
	// Output:
	// UPDATE notes SET body, words = Row(body)
	// [two words 2] <nil>
	// [] leave this row as it is
}

func ExampleDecodePath() {
	for _, packet := range []string{"05027D1D", "05427D1DDA2A", "05037D", "25027D1D", "no packet"} {
		path, trace := jobs.DecodePath(packet)
		fmt.Println(path, trace)
	}
	// Output:
	// ["7D","1D"] false
	// ["7D1D","DA2A"] false
	// ["7D"] false
	// [] true
	// [] false
}
