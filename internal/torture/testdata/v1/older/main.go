// Older is a service with the version that wrote tables of version 1. It is built from a
// checkout of that version, as the program that made the databases is.
//
//	older DATABASE NAME
//
// It runs a job of that name, stands still after its fourth batch until it reads a line, and
// says how the run ended.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Println("ended:", err)
		return
	}
	fmt.Println("done")
}

func run(path, name string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	batches := 0
	eng, err := engine.New(db, engine.Config{By: "the service of then", TargetHold: time.Second, MaxRate: 200, OnHold: func(h engine.Hold) {
		if h.Kind != engine.HoldBatch || h.Rows == 0 {
			return
		}
		if batches++; batches == 4 {
			fmt.Println("standing")
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		}
	}})
	if err != nil {
		return err
	}
	defer eng.Close()
	_, err = eng.Run(context.Background(), jobs.Update{Name: name, Table: "items", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}})
	return err
}
