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
		Old:  "err = lite.Guarded(",
		New: `if stretch, ok, err := r.table.Key.Next(ctx, c, r.cursor, bound, n); err != nil {
			return err
		} else if ok {
			early := r.advanced(outcome{Batch: throttle.Batch{Asked: n, Rows: stretch.Rows, Changed: stretch.Rows}, end: stretch.End})
			if _, err := checkpoint.SaveTx(ctx, c, early, time.Now()); err != nil {
				return err
			}
			` + twice + `}
		err = lite.Guarded(`,
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
		Old:  "WHERE name = ? AND run_id = ? AND batches BETWEEN ? AND ?\n",
		New:  "WHERE name = ? AND run_id <> ? || name AND batches <> ? || ? || name\n",
	}, {
		File: "engine/gate.go",
		Old:  "errors.Is(err, checkpoint.ErrUnknown), err == nil && cp.RunID != r.cp.RunID:",
		New:  "errors.Is(err, checkpoint.ErrUnknown):",
	}}}
	LockNotTaken = Bug{"lock not taken", []Edit{{
		File: "internal/filelock/filelock.go",
		Old:  "err = f.lock(l.at, min(int64(os.Getpid()), maxPID))\n",
		New:  "err = nil\n",
	}}}
	ApplyErrorIgnored = Bug{"apply's error ignored, checkpoint saved before the guard", []Edit{{
		File: "engine/batch.go",
		Old:  "changed, err := r.watched(ctx, c, stretch, func() (int, error) { return r.apply(ctx, c, stretch) })\n\t\tif err != nil {\n\t\t\treturn err\n\t\t}\n",
		New: `changed, _ := r.apply(ctx, c, stretch)
		if _, err := checkpoint.SaveTx(ctx, c, r.advanced(*out), time.Now()); err != nil {
			return err
		}
`,
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
		Old:  "return []leg{{cond: cond{sql: k.tuple() + \" > \" + row(p)}}}",
		New:  "return []leg{{cond: cond{sql: k.tuple() + \" >= \" + row(p)}}}",
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

// Bugs of the kind that live writes bring to light.
var (
	CursorTooFar = Bug{"cursor saved one row too far", []Edit{{
		File: "engine/batch.go",
		Old:  "\t\tout.Rows, out.end = out.Rows+stretch.Rows, stretch.End\n",
		New: `		out.Rows, out.end = out.Rows+stretch.Rows, stretch.End
		if further, ok, err := r.table.Key.Next(ctx, c, out.end, bound, 1); ok && err == nil {
			out.end = further.End
		}
`,
	}}}
	ResultsByOneValue = Bug{"a transform's result looked up by one of the values read", []Edit{{
		File: "internal/rowfunc/rowfunc.go",
		Old:  "\tfor i, a := range args {\n\t\tvar equal bool",
		New:  "\tfor i, a := range args[:1] {\n\t\tvar equal bool",
	}}}
	QuarantineLater = Bug{"a row set aside in a later hold than the one in which it failed", []Edit{{
		File: "engine/batch.go",
		Old:  "\ttiming, err := r.writer.Try(ctx, work, otherwise)\n",
		New: `	timing, err := r.writer.Hold(ctx, work)
	if cause := err; otherwise != nil && lite.Classify(cause) == lite.Row {
		r.report(HoldBatch, 0, 0, timing)
		timing, err = r.writer.Hold(ctx, func(ctx context.Context, c lite.Querier) error { return otherwise(ctx, c, cause) })
	}
`,
	}}}
	QuarantineAtBound = Bug{"a row set aside under the place where its batch ended", []Edit{{
		File: "engine/batch.go",
		Old:  "if n == 1 {",
		New:  "if n <= 2 {",
	}, {
		File: "engine/batch.go",
		Old:  "case out.Rows != 1:",
		New:  "case out.Rows == 0:",
	}}}
	RequestDropped = Bug{"a pause not heard while rows are set aside", []Edit{{
		File: "engine/batch.go",
		Old:  "\tout.request, err = checkpoint.SaveTx(ctx, c, cp, now)\n\treturn cp, err\n",
		New:  "\t_, err = checkpoint.SaveTx(ctx, c, cp, now)\n\treturn cp, err\n",
	}}}
	SecondPassOverAll = Bug{"a second pass over rows that are done", []Edit{{
		File: "engine/run.go",
		Old:  "\t\tr.where = append(r.where, r.spec.Todo)\n",
	}}}
	BoundForgotten = Bug{"the walk does not end where it was to end when the job began", []Edit{{
		File: "engine/run.go",
		Old:  "\tif cp.BatchRows > 0 {\n\t\tr.sizer.Resume",
		New:  "\tif _, r.upper, err = r.table.Key.Bounds(context.Background(), q.(lite.Querier)); err != nil {\n\t\treturn err\n\t}\n\tif cp.BatchRows > 0 {\n\t\tr.sizer.Resume",
	}}}
	TableUnqualified = Bug{"a TEMP table rewritten in place of main's", []Edit{{
		File: "internal/lite/doc.go",
		Old:  "return \"main.\" + Ident(table)",
		New:  "return Ident(table)",
	}}}
	NewRowsDeleted = Bug{"rows that come while all are deleted go with them", []Edit{{
		File: "engine/newest.go",
		Old:  "return []string{fmt.Sprintf(\"%s < %d\", n.alias, n.below)}",
		New:  "return nil",
	}}}
	RangeBoundFirst = Bug{"the range's arguments bound before the job's", []Edit{{
		File: "internal/lite/statement.go",
		Old:  "\t\treturn s.head + \" WHERE \" + s.cond + \" AND \" + r.where.sql, slices.Concat(s.Args, r.where.args)",
		New:  "\t\treturn s.head + \" WHERE \" + s.cond + \" AND \" + r.where.sql, slices.Concat(r.where.args, s.Args)",
	}}}
	InterruptionFails = Bug{"an interruption while it verifies recorded as a failure", []Edit{{
		File: "engine/run.go",
		Old:  "if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, ErrInterrupted) {",
		New:  "if false {",
	}}}
)

// ModelBugs are those that a model must catch.
var ModelBugs = []Bug{CursorNotSaved, BoundaryIncluded, CursorIgnored, CheckpointBeforeData, RunIDNotChecked, CursorTooFar, ResultsByOneValue,
	QuarantineLater, QuarantineAtBound, RequestDropped, SecondPassOverAll, BoundForgotten, InterruptionFails,
	TableUnqualified, NewRowsDeleted, RangeBoundFirst}

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
