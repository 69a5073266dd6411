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
		File: "engine/hold.go",
		Old:  "err := lite.Guarded(",
		New: `if stretch, ok, err := b.s.table.Key.Next(ctx, c, b.from, b.upto, b.Rows); err != nil {
		return err
	} else if ok {
		early := *b
		early.end, early.out.Rows, early.out.Changed = stretch.End, stretch.Rows, stretch.Rows
		if err := early.save(ctx, c, time.Now()); err != nil {
			return err
		}
		` + twice + `}
	err := lite.Guarded(`,
	}}}
	CheckpointAfterData = Bug{"checkpoint after data, in a second transaction", []Edit{{
		File: "engine/hold.go",
		Old:  "\tif err := b.save(ctx, c, time.Now()); err != nil {",
		New:  "\t" + twice + "if err := b.save(ctx, c, time.Now()); err != nil {",
	}}}
	CursorNotSaved = Bug{"cursor not saved", []Edit{{
		File: "internal/loop/record.go",
		Old:  "\tr.Cursor = out.End\n",
	}}}
	RunIDNotChecked = Bug{"run id not checked", []Edit{{
		File: "internal/record/record.go",
		Old:  "WHERE name = ? AND step = ? AND run_id = ? AND batches BETWEEN ? AND ?`,\n",
		New:  "WHERE name = ? AND step = ? AND run_id <> ? || name AND batches <> ? || ? || name`,\n",
	}, {
		File: "engine/record.go",
		Old:  "errors.Is(err, chunkfill.ErrUnknownJob), err == nil && cp.RunID != r.runID:",
		New:  "errors.Is(err, chunkfill.ErrUnknownJob):",
	}}}
	LockNotTaken = Bug{"lock not taken", []Edit{{
		File: "internal/filelock/filelock.go",
		Old:  "err = f.lock(l.at, min(int64(os.Getpid()), maxPID))\n",
		New:  "err = nil\n",
	}}}
	ApplyErrorIgnored = Bug{"apply's error ignored, checkpoint saved before the guard", []Edit{{
		File: "engine/hold.go",
		Old:  "changed, err := b.watched(ctx, c, stretch, func() (int, error) { return b.apply(ctx, c, stretch) })\n\t\tif err != nil {\n\t\t\treturn err\n\t\t}\n",
		New: `changed, _ := b.apply(ctx, c, stretch)
		if err := b.save(ctx, c, time.Now()); err != nil {
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
		File: "internal/lite/order.go",
		Old:  "\t\tleast++\n",
	}, {
		File: "internal/lite/order.go",
		Old:  "return []prefixRange{{cond: cond{sql: o.tuple() + \" > \" + row(p)}}}",
		New:  "return []prefixRange{{cond: cond{sql: o.tuple() + \" >= \" + row(p)}}}",
	}}}
	CursorIgnored = Bug{"a second run begins at the first row", []Edit{{
		File: "engine/take.go",
		Old:  "\tcp.RunID, cp.Owner, cp.Reason, cp.Error = uuid.NewString(), s.e.owner(now), \"\", \"\"\n",
		New:  "\tcp.RunID, cp.Owner, cp.Reason, cp.Error, cp.Cursor = uuid.NewString(), s.e.owner(now), \"\", \"\", \"\"\n",
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
		File: "engine/hold.go",
		Old:  "\t\tout.Rows, b.end = out.Rows+stretch.Rows, stretch.End\n",
		New: `		out.Rows, b.end = out.Rows+stretch.Rows, stretch.End
		if further, ok, err := b.s.table.Key.Next(ctx, c, b.end, b.upto, 1); ok && err == nil {
			b.end = further.End
		}
`,
	}}}
	ResultsByOneValue = Bug{"a transform's result looked up by one of the values read", []Edit{{
		File: "internal/rowfunc/rowfunc.go",
		Old:  "\tfor i, a := range args {\n\t\tvar equal bool",
		New:  "\tfor i, a := range args[:1] {\n\t\tvar equal bool",
	}}}
	QuarantineLater = Bug{"a row set aside in a later hold than the one in which it failed", []Edit{{
		File: "engine/hold.go",
		Old:  "\ttiming, err := s.writer.Try(ctx, func(ctx context.Context, c lite.Querier) error { return b.attempt(ctx, c) }, otherwise)\n",
		New: `	timing, err := s.writer.Hold(ctx, func(ctx context.Context, c lite.Querier) error { return b.attempt(ctx, c) })
	if cause := err; otherwise != nil && lite.Classify(cause) == lite.Row {
		s.report(HoldBatch, RolledBack, 0, 0, timing)
		timing, err = s.writer.Hold(ctx, func(ctx context.Context, c lite.Querier) error { return otherwise(ctx, c, cause) })
	}
`,
	}}}
	QuarantineAtBound = Bug{"a row set aside under the place where its batch ended", []Edit{{
		File: "engine/hold.go",
		Old:  "if in.Rows == 1 {",
		New:  "if in.Rows <= 2 {",
	}, {
		File: "engine/quarantine.go",
		Old:  "case b.out.Rows != 1:",
		New:  "case b.out.Rows == 0:",
	}}}
	RequestDropped = Bug{"a pause not heard while rows are set aside", []Edit{{
		File: "engine/quarantine.go",
		Old:  "\treturn b.save(ctx, c, now)\n",
		New:  "\terr = b.save(ctx, c, now)\n\tb.out.Request = b.From.Request\n\treturn err\n",
	}}}
	SecondPassOverAll = Bug{"a second pass over rows that are done", []Edit{{
		File: "engine/pass.go",
		Old:  "\t\tw.where = append(w.where, w.spec.Todo)\n",
	}}}
	BoundForgotten = Bug{"the walk does not end where it was to end when the job began", []Edit{{
		File: "engine/take.go",
		Old:  "\tvar aside []lite.Pos\n\tif cp.Pass == 2 {",
		New:  "\tif _, w.upper.pos, err = w.table.Key.Bounds(context.Background(), q.(lite.Querier)); err != nil {\n\t\treturn err\n\t}\n\tvar aside []lite.Pos\n\tif cp.Pass == 2 {",
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
		Old:  "\t\treturn s.head + \" WHERE \" + s.cond + \" AND \" + r.where.sql + s.tail, slices.Concat(s.Args, r.where.args)",
		New:  "\t\treturn s.head + \" WHERE \" + s.cond + \" AND \" + r.where.sql + s.tail, slices.Concat(r.where.args, s.Args)",
	}}}
	InterruptionFails = Bug{"an interruption while it verifies recorded as a failure", []Edit{{
		File: "internal/loop/errors.go",
		Old:  "if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, ErrInterrupted) {",
		New:  "if false && errors.Is(err, ctx.Err()) {",
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
		File: "engine/session.go",
		Old:  "\tdefer e.leave(s)\n",
		New:  "\tdefer e.leave(s)\n\tgo func() { select {} }()\n",
	}}},
	{"the read-only connection is not closed", []Edit{{
		File: "engine/engine.go",
		Old:  "[]*sql.DB{e.reader, e.checkpointDB}",
		New:  "[]*sql.DB{e.checkpointDB}",
	}}},
	{"memory of each job is kept", []Edit{{
		File: "engine/session.go",
		Old:  "// work runs a job that this process owns",
		New:  "var kept [][]byte\n\n// work runs a job that this process owns",
	}, {
		File: "engine/session.go",
		Old:  "\tdefer e.leave(s)\n",
		New:  "\tdefer e.leave(s)\n\tpage := make([]byte, 1<<18)\n\tfor i := range page {\n\t\tpage[i] = 1\n\t}\n\tkept = append(kept, page)\n",
	}}},
}
