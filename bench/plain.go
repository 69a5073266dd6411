package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

// What people do without chunkfill. Each contender does the work of jobs.PathJSON: on the
// same rows, with the same function.

// pathJob is the work itself.
var pathJob = jobs.PathJSON("bench", "observations")

func pathStatement() string {
	return "UPDATE observations SET path_json = " + pathJob.Set[0].Expr + " WHERE (" + pathJob.Where + ")"
}

func runUpdate(ctx context.Context, r *rig) error {
	return r.exec(ctx, pathStatement())
}

func runCreateIndex(ctx context.Context, r *rig) error {
	err := r.exec(ctx, `CREATE INDEX bench_observer_timestamp ON observations(observer_idx, timestamp)`)
	r.changed = 0 // the driver still reports the previous statement
	return err
}

// shellTodo is about pathJob.Where without unhex, which a shell before 3.41 does not
// have: packets that begin like a TRACE and are no hex text are left out, too.
const shellTodo = `(path_json IS NULL OR path_json = '') AND raw_hex <> '' AND raw_hex NOT GLOB '[26AEae][4-7]*'`

// runShell does not decode: the shell has no Go function. The expression writes about as
// many bytes.
func runShell(ctx context.Context, r *rig) error {
	statement := `UPDATE observations SET path_json = '["' || substr(raw_hex, 5, 4) || '","' || substr(raw_hex, 9, 4) || '"]'
		WHERE ` + shellTodo + `; SELECT changes();`
	began := time.Now()
	cmd := exec.CommandContext(ctx, "sqlite3", "-batch", "-bail", "-cmd", ".timeout 5000", r.path, "PRAGMA synchronous = NORMAL; "+statement)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return fmt.Errorf("run the sqlite3 shell: %w", err)
	}
	r.holds.add(began, time.Now())
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	_, err = fmt.Sscan(string(out), &r.changed)
	return err
}

const (
	loopRows  = 1000
	loopPause = 50 * time.Millisecond
)

// runRowLoop searches for the next thousand rows from the start of the table each time.
func runRowLoop(ctx context.Context, r *rig) error {
	for {
		todo, err := r.pick(ctx)
		if err != nil || len(todo) == 0 {
			return err
		}
		for _, row := range todo {
			if r.late() {
				return nil
			}
			path, _ := jobs.DecodePath(row.rawHex)
			if err := r.exec(ctx, `UPDATE observations SET path_json = ? WHERE id = ?`, path, row.id); err != nil {
				return err
			}
		}
		if err := sleep(ctx, loopPause); err != nil {
			return err
		}
	}
}

type packet struct {
	id     int64
	rawHex string
}

func (r *rig) pick(ctx context.Context) (todo []packet, err error) {
	began := time.Now()
	defer func() { r.holds.add(began, time.Now()) }()
	rows, err := r.db.QueryContext(ctx, fmt.Sprintf(`SELECT id, raw_hex FROM observations WHERE (%s) LIMIT %d`, pathJob.Where, loopRows))
	if err != nil {
		return nil, fmt.Errorf("look for rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p packet
		if err := rows.Scan(&p.id, &p.rawHex); err != nil {
			return nil, err
		}
		todo = append(todo, p)
	}
	return todo, rows.Err()
}

const (
	keysetRows  = 1000
	keysetPause = 10 * time.Millisecond
)

func runKeyset(ctx context.Context, r *rig) error {
	var last int64
	if err := r.db.QueryRowContext(ctx, `SELECT max(id) FROM observations`).Scan(&last); err != nil {
		return fmt.Errorf("find the last row: %w", err)
	}
	const next = `SELECT max(id) FROM (SELECT id FROM observations WHERE id > ? ORDER BY id LIMIT ?)`
	for cursor := int64(0); cursor < last && !r.late(); {
		var end sql.NullInt64
		if err := r.db.QueryRowContext(ctx, next, cursor, keysetRows).Scan(&end); err != nil {
			return fmt.Errorf("find the end of a batch: %w", err)
		}
		if err := r.exec(ctx, pathStatement()+" AND id > ? AND id <= ?", cursor, end.Int64); err != nil {
			return err
		}
		cursor = end.Int64
		if err := sleep(ctx, keysetPause); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
