package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

func initials(read []any) ([]any, error) {
	name, _ := read[0].(string)
	if name == "" {
		return nil, errors.New("no name")
	}
	var b strings.Builder
	for _, word := range strings.Fields(name) {
		b.WriteByte(word[0])
	}
	return []any{b.String()}, nil
}

// Pass rows through a Go function. It runs beside the writer, on all processors; a row that
// it fails on goes into quarantine. What the function does cannot be compared with what it
// did in an earlier release, so Version says that it has changed: such a job needs a name of
// its own.
func ExampleEngine_Run_transform() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, initials TEXT)`,
		`INSERT INTO people (name) VALUES ('Ada Lovelace'), (''), ('Grace Brewster Hopper')`)
	defer remove()
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	job := jobs.Transform{
		Name:    "people_initials_v1",
		Table:   "people",
		Read:    []string{"name"},
		Write:   []string{"initials"},
		Row:     initials,
		Version: "1",
	}
	result, err := eng.Run(ctx, job)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Phase, result.Changed, "changed,", result.Quarantined, "in quarantine")
	fmt.Println(texts(db, "SELECT coalesce(initials, '?') FROM people ORDER BY id"))

	// A release later initials have dots.
	job.Version = "2"
	job.Row = func(read []any) ([]any, error) {
		write, err := initials(read)
		if err != nil {
			return nil, err
		}
		letters := strings.Split(write[0].(string), "")
		return []any{strings.Join(letters, ".") + "."}, nil
	}
	_, err = eng.Run(ctx, job)
	fmt.Println("changed:", errors.Is(err, engine.ErrJobChanged))

	job.Name = "people_initials_v2"
	if _, err := eng.Run(ctx, job); err != nil {
		log.Fatal(err)
	}
	fmt.Println(texts(db, "SELECT coalesce(initials, '?') FROM people ORDER BY id"))
	// Output:
	// done 2 changed, 1 in quarantine
	// [AL ? GBH]
	// changed: true
	// [A.L. ? G.B.H.]
}
