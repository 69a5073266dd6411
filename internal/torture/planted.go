package torture

// Bug is one that the harness must catch. It lives here as an edit of the source,
// so that the library need not know of it.
type Bug struct {
	Name  string
	Edits []Edit
}

// twice ends the transaction of a batch in its middle and begins another.
const twice = `if _, err := c.ExecContext(ctx, "COMMIT"); err != nil {
			return err
		}
		failpoint.Hit("planted")
		if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		`

// Bugs of the kind that loses or repeats rows.
var (
	CheckpointBeforeData = Bug{"checkpoint committed before data", []Edit{{
		File: "engine/batch.go",
		Old:  "if err := lite.Guarded(ctx, c, func() error { return r.apply(ctx, c, stretch, &out) }); err != nil {",
		New: `early := r.advanced(out)
		early.Changed += int64(out.Rows)
		if _, err := checkpoint.SaveTx(ctx, c, early, time.Now()); err != nil {
			return err
		}
		` + twice + `if err := lite.Guarded(ctx, c, func() error { return r.apply(ctx, c, stretch, &out) }); err != nil {`,
	}}}
	CheckpointAfterData = Bug{"checkpoint after data, in a second transaction", []Edit{{
		File: "engine/batch.go",
		Old:  "cp = r.advanced(out)\n\t\tout.request",
		New:  twice + "cp = r.advanced(out)\n\t\tout.request",
	}}}
	CursorNotSaved = Bug{"cursor not saved", []Edit{{
		File: "engine/batch.go",
		Old:  "\tcp.Cursor = out.end.Encode()\n",
	}}}
	RunIDNotChecked = Bug{"run id not checked", []Edit{{
		File: "checkpoint/checkpoint.go",
		Old:  "WHERE name = ? AND run_id = ?\n",
		New:  "WHERE name = ? AND run_id <> ? || name\n",
	}}}
	ApplyErrorIgnored = Bug{"apply's error ignored, checkpoint saved before RELEASE", []Edit{{
		File: "engine/batch.go",
		Old:  "if err := lite.Guarded(ctx, c, func() error { return r.apply(ctx, c, stretch, &out) }); err != nil {",
		New: `if err := lite.Guarded(ctx, c, func() error {
			_ = r.apply(ctx, c, stretch, &out)
			_, err := checkpoint.SaveTx(ctx, c, r.advanced(out), time.Now())
			return err
		}); err != nil {`,
	}}}
	BeginLeftOpen = Bug{"a connection given back with BEGIN open", []Edit{{
		File: "internal/lite/hold.go",
		Old:  "if exec(ctx, c, \"BEGIN\") == nil && exec(ctx, c, \"ROLLBACK\") == nil {",
		New:  "if exec(ctx, c, \"BEGIN\") == nil {",
	}}}
	BoundaryIncluded = Bug{">= for > at the boundary", []Edit{{
		File: "internal/lite/key.go",
		Old:  "\t\tleast++\n",
	}, {
		File: "internal/lite/key.go",
		Old:  "return []cond{{sql: k.tuple() + \" > \" + row(p)}}",
		New:  "return []cond{{sql: k.tuple() + \" >= \" + row(p)}}",
	}}}
	CursorIgnored = Bug{"a second run begins at the first row", []Edit{{
		File: "engine/run.go",
		Old:  "{&r.cursor, cp.Cursor}} {",
		New:  "{&r.cursor, \"\"}} {",
	}}}
)

// KeeperDoesNotSync takes a power cut: the log is begun anew while what was in it
// has not reached the disk.
var KeeperDoesNotSync = Bug{"WAL checkpoints that are not synced", []Edit{{
	File: "internal/lite/file.go",
	Old:  "synchronous(%d)\", synchronous)",
	New:  "synchronous(%d)\", 0*synchronous)",
}}}

// CrashBugs are those that kills alone bring to light, RowBugs those that a row
// that fails does. RunIDNotChecked takes a rival.
var (
	CrashBugs = []Bug{CheckpointBeforeData, CheckpointAfterData, CursorNotSaved, BoundaryIncluded, CursorIgnored}
	RowBugs   = []Bug{ApplyErrorIgnored, BeginLeftOpen}
)

// LeakBugs are those that only show in a program that runs for long. Each job
// leaves a little behind.
var LeakBugs = []Bug{
	{"a goroutine for each job", []Edit{{
		File: "engine/run.go",
		Old:  "\tdefer e.leave(r)\n",
		New:  "\tdefer e.leave(r)\n\tgo func() { select {} }()\n",
	}}},
	{"the read-only connection is not closed", []Edit{{
		File: "engine/engine.go",
		Old:  "[]*sql.DB{e.reader, e.keeper}",
		New:  "[]*sql.DB{e.keeper}",
	}}},
	{"memory of each job is kept", []Edit{{
		File: "engine/run.go",
		Old:  "// work runs a job that this process owns",
		New:  "var kept [][]byte\n\n// work runs a job that this process owns",
	}, {
		File: "engine/run.go",
		Old:  "\tdefer e.leave(r)\n",
		New:  "\tdefer e.leave(r)\n\tkept = append(kept, []byte(fmt.Sprintf(\"%*s\", 1<<18, \"\")))\n",
	}}},
}
