package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"
	_ "time/tzdata" // for a container without time zones

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Work at night alone. The window comes from the settings of the service; New refuses one
// that does not read as one, and says which field. Outside its window a job waits.
func ExampleConfig_window() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE sessions (id INTEGER PRIMARY KEY, ended_at INT)`, `INSERT INTO sessions DEFAULT VALUES`)
	defer remove()

	_, err := engine.New(db, engine.Config{Window: "Mon-Fry 01:00-05:00 Europe/Berlin"})
	var wrong *engine.ConfigError
	if errors.As(err, &wrong) {
		fmt.Println("setting", wrong.Field, "refused:", wrong.Value)
	}

	opens := time.Now().UTC().Add(2 * time.Hour) // so that the example meets a closed one
	eng, err := engine.New(db, engine.Config{Window: opens.Format("Mon 15:04") + "-" + opens.Add(time.Minute).Format("15:04") + " UTC"})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close() // also while it waits
	err = eng.Start(ctx, jobs.Delete{Name: "sessions_purge_v1", Table: "sessions", Where: "ended_at IS NULL"})
	if err != nil {
		log.Fatal(err)
	}
	s := until(ctx, eng, "sessions_purge_v1", checkpoint.Waiting)
	fmt.Println(s.Phase, "-", s.Reason)
	// Output:
	// setting Window refused: Mon-Fry 01:00-05:00 Europe/Berlin
	// waiting - outside the schedule window
}
