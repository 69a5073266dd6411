package engine_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// openPools opens the file twice: one connection that writes, and some that read beside it.
func openPools(path string) (writer, reader *sql.DB, err error) {
	const settings = "?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_pragma=synchronous(normal)"
	writer, err = sql.Open("sqlite", "file:"+path+settings)
	if err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)

	reader, err = sql.Open("sqlite", "file:"+path+settings+"&mode=ro")
	if err != nil {
		writer.Close()
		return nil, nil, err
	}
	reader.SetMaxOpenConns(4)
	return writer, reader, nil
}

// A host with a pool for writes and one for reads gives the engine the one that writes, since
// that is whose waiting writes the job has to see. Reads never wait for the job.
func Example_twoPools() {
	ctx := context.Background()
	path := exampleFile(`CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)`, `INSERT INTO notes (body) VALUES (' one '), ('two ')`)
	defer os.RemoveAll(filepath.Dir(path))
	writer, reader, err := openPools(path)
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Close()
	defer reader.Close()
	eng, err := engine.New(writer, engine.Config{SoleProcess: true})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close() // before the pools

	err = eng.Start(ctx, jobs.Update{Name: "notes_trim_v1", Table: "notes", Set: []jobs.Assign{{Column: "body", Expr: "trim(body)"}}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := eng.Await(ctx, "notes_trim_v1"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(texts(reader, "SELECT body FROM notes ORDER BY id"))

	// A page that shows jobs needs the reading pool alone.
	statuses, err := engine.ReadStatuses(ctx, reader)
	for _, s := range statuses {
		fmt.Println(s.Name, s.Phase, err)
	}
	// Output:
	// [one two]
	// notes_trim_v1 done <nil>
}
