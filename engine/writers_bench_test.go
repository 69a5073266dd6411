//go:build go1.25

package engine_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

const liveChild = "CHUNKFILL_TEST_LIVE_WRITER"

// The second process writes until its input ends, and prints how long each write took.
func init() {
	path := os.Getenv(liveChild)
	if path == "" {
		return
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(normal)")
	if err != nil {
		os.Exit(1)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = bufio.NewReader(os.Stdin).ReadString('\n'); cancel() }()
	for _, d := range liveWrites(ctx, db) {
		fmt.Println(int64(d))
	}
	os.Exit(0)
}

// liveWrites writes about every 5 ms until ctx ends.
func liveWrites(ctx context.Context, db *sql.DB) (all []time.Duration) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
		}
		began := time.Now()
		if _, err := db.Exec("INSERT INTO live VALUES (1)"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		all = append(all, time.Since(began))
	}
}

// BenchmarkLiveWriters is how long live writes take beside a job of 400,000 rows: those of
// the engine's own pool, of a second one and of a second process, side by side; and the
// same while a reader that has pinned the log for a second lets go. Run it with
// -benchtime 1x.
func BenchmarkLiveWriters(b *testing.B) {
	b.Run("quiet", func(b *testing.B) { benchLiveWriters(b, false) })
	b.Run("pinned", func(b *testing.B) { benchLiveWriters(b, true) })
	b.Run("pinned, own pool alone", func(b *testing.B) { benchOwnPool(b) })
}

func benchLiveWriters(b *testing.B, pinned bool) {
	for range b.N {
		path := filepath.Join(b.TempDir(), "a.db")
		db := openAt(b, path, append(numbers(400_000)[:2], "CREATE INDEX t_n ON t (n, v)", "CREATE TABLE live (x)")...)
		second := openAt(b, path)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), liveChild+"="+path)
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}

		ctx, cancel := context.WithCancel(testContext(b))
		all := map[string][]time.Duration{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for name, pool := range map[string]*sql.DB{"own": db, "second": second} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				d := liveWrites(ctx, pool)
				mu.Lock()
				defer mu.Unlock()
				all[name] = d
			}()
		}
		took := runBeside(b, db, path, pinned)
		cancel()
		wg.Wait()
		_ = in.Close()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				all["process"] = append(all["process"], time.Duration(n))
			}
		}
		_ = cmd.Wait()
		b.Logf("the job took %v", took)
		for _, name := range []string{"own", "second", "process"} {
			logPercentiles(b, name, all[name])
		}
	}
}

func benchOwnPool(b *testing.B) {
	for range b.N {
		path := filepath.Join(b.TempDir(), "a.db")
		db := openAt(b, path, append(numbers(400_000)[:2], "CREATE INDEX t_n ON t (n, v)", "CREATE TABLE live (x)")...)
		ctx, cancel := context.WithCancel(testContext(b))
		own := make(chan []time.Duration)
		go func() { own <- liveWrites(ctx, db) }()
		took := runBeside(b, db, path, true)
		cancel()
		b.Logf("the job took %v", took)
		logPercentiles(b, "own", <-own)
	}
}

// runBeside runs the job; a reader may pin the log for the first two seconds of it.
func runBeside(b *testing.B, db *sql.DB, path string, pinned bool) time.Duration {
	var wg sync.WaitGroup
	if pinned {
		reader := openAt(b, path)
		mustExec(b, reader, "BEGIN")
		value(b, reader, "SELECT count(*) FROM t")
		wg.Add(1)
		go func() {
			defer wg.Done()
			time.Sleep(2 * time.Second)
			mustExec(b, reader, "ROLLBACK")
		}()
	}
	began := time.Now()
	e := newEngine(b, db, engine.Config{SoleProcess: true})
	ctx, cancel := context.WithTimeout(testContext(b), 60*time.Second)
	defer cancel()
	if r, err := e.Run(ctx, increment("inc")); err != nil {
		b.Logf("%d rows: %v", r.Rows, err)
	}
	wg.Wait()
	return time.Since(began)
}

func logPercentiles(b *testing.B, name string, all []time.Duration) {
	slices.Sort(all)
	at := func(p float64) time.Duration {
		return all[min(len(all)-1, int(p*float64(len(all))))].Round(10 * time.Microsecond)
	}
	if len(all) > 0 {
		b.Logf("%-8s %5d writes: p50 %v, p90 %v, p99 %v, max %v", name, len(all), at(0.5), at(0.9), at(0.99), at(1))
	}
}
