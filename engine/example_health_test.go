package engine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Answer a readiness or monitoring check with what is wrong with the jobs. A liveness check
// should not ask: a restart does not mend a job that has failed.
func ExampleEngine_Health() {
	ctx := context.Background()
	db, remove := exampleDB(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT CHECK (email <> 'ada@example.org'))`,
		`INSERT INTO users (email) VALUES ('Ada@Example.org')`)
	defer remove()
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := eng.Health(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := httptest.NewServer(mux) // the application's own
	defer server.Close()

	ask := func() {
		answer, err := http.Get(server.URL + "/healthz")
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, strings.TrimSpace(string(text)))
	}

	ask()
	_, _ = eng.Run(ctx, jobs.Update{
		Name:  "users_email_lower_v1",
		Table: "users",
		Set:   []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
	})
	ask()
	// Output:
	// 200 ok
	// 503 job users_email_lower_v1: the job has failed
}
