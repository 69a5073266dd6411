package torture

// LoopBugs are those of the loop alone, which its own tests must catch without a database.
// They are ordered by what they break: what bounds a batch, what is recorded, what is asked,
// how a run ends. Those of the steps that change the schema are in SchemaBugs.
var LoopBugs = []Bug{
	{"the gate left out before a batch", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\t\tif err := w.gate(ctx); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tbound, ok",
		New:  "\t\tbound, ok",
	}}},
	{"the hold charged twice", []Edit{{
		File: "internal/loop/record.go",
		Old:  "\tr.lap = r.lap.Add(out.Held)\n",
	}}},
	{"no gate after a wait for computed rows", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\t\t\terr = w.gate(ctx)\n\t\t\treturn bound, err == nil, err\n",
		New:  "\t\t\treturn bound, true, nil\n",
	}}},
	{"a resume that goes straight to work", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "\t\tswitch {\n\t\tcase now.none() && standing.none():",
		New: "\t\tif standing.on == PauseAsked && now.on != PauseAsked {\n\t\t\treturn g.change(ctx, Opened, why, g.resumed(standing))\n\t\t}\n" +
			"\t\tswitch {\n\t\tcase now.none() && standing.none():",
	}}},
	{"a batch that does not look who waits", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\tcase w.db.Waiting():\n\t\treturn throttle.ReasonLive\n",
	}}},
	{"a rate that is not waited for", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\t\tw.due = now.Add(delay)\n",
	}}},
	{"a rate forgotten in a pause", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "\t\tcase now.none():\n",
		New:  "\t\tcase now.none():\n\t\t\tg.due = time.Time{}\n",
	}}},
	{"a full disk tried again at once", []Edit{{
		File: "internal/loop/full.go",
		Old:  "if now.Sub(f.at) < f.pause && free-roomMade < f.free {",
		New:  "if false {",
	}}},
	{"the record advanced though Hold failed", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\tif err == nil && !out.None {",
		New:  "\tif out.Saved.Of != \"\" {",
	}}},
	{"a bisection that does not narrow", []Edit{{
		File: "internal/loop/bisect.go",
		Old:  "return max(1, b.window/2)",
		New:  "return max(1, b.window)",
	}}},
	{"a bisection forgotten after a half that passed", []Edit{{
		File: "internal/loop/bisect.go",
		Old:  "b.window = max(0, b.window-rows)",
		New:  "b.window = 0 * rows",
	}}},
	{"a record given up on while the database is busy", []Edit{{
		File: "internal/loop/record.go",
		Old:  "\t\tcase Busy:\n\t\tcase Full:\n",
		New:  "\t\tcase Full:\n",
	}}},
	{"no ear in a wait", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "\treturn g.Listen(ctx)\n",
		New:  "\treturn nil\n",
	}}},
	{"tuned values passed over", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "if g.request.Tuning != g.tuned {",
		New:  "if false {",
	}}},
	{"a second pause recorded as a resume", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "if standing.on == PauseAsked && now.on != PauseAsked {",
		New:  "if standing.on == PauseAsked {",
	}}},
	{"a cancel recorded as an interruption", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "on, name = CancelAsked, \"cancelled\"",
		New:  "on, name = Stopped, \"interrupted\"",
	}}},
	{"a second pass without Prepare", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "\tif err := l.patiently(ctx, func(ctx context.Context) error { return l.db.Prepare(ctx, cp) }); err != nil {\n\t\treturn err\n\t}\n",
	}}},
	{"no end to the passes", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "again = l.state.Step <= standing // else it is another one's turn\n",
		New:  "_ = standing\n",
	}}},
	{"a lost owner that writes its end", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "\tcase class == Lost:\n\t\tl.log.Warn(\"chunkfill: another run has taken the job over\", \"error\", err)\n\t\treturn err\n",
	}}},
	{"an error of Bound taken for a wait", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\t\tcase !late:\n",
		New:  "\t\tcase !late && err == nil:\n",
	}}},
	InterruptionFails,
	{"a cancelled job that can be taken", []Edit{{
		File: "internal/loop/state.go",
		Old:  "s.Condition == Interrupted || s.Condition == Failed\n",
		New:  "s.Condition == Interrupted || s.Condition == Failed || s.Condition == Cancelled\n",
	}}},
}

// SchemaBugs are those of the loop that only jobs bring to light which change the schema: in
// what is made, in what is taken back, in where such a job goes on.
var SchemaBugs = []Bug{
	{"no gate before a change of the schema", []Edit{{
		File: "internal/loop/once.go",
		Old:  "\t\tif err := l.gate(ctx); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tto, err := l.after",
		New:  "\t\tto, err := l.after",
	}}},
	{"no gate between two tries of a change", []Edit{{
		File: "internal/loop/once.go",
		Old:  "\tfor {\n\t\tif err := l.gate(ctx); err != nil {\n\t\t\treturn err\n\t\t}\n",
		New:  "\tfor first := true; ; first = false {\n\t\tif err := l.gate(ctx); first && err != nil {\n\t\t\treturn err\n\t\t}\n",
	}}},
	{"a change recorded in a second hold", []Edit{{
		File: "internal/loop/once.go",
		Old:  "\t\tto, err = make(ctx, from, to, l.line(e))\n",
		New: "\t\tif on == Finished {\n\t\t\tif half, err := make(ctx, from, from, l.line(e)); err == nil {\n" +
			"\t\t\t\treturn l.changeTo(ctx, half, on, \"\", e)\n\t\t\t}\n\t\t}\n\t\tto, err = make(ctx, from, to, l.line(e))\n",
	}}},
	{"a change given up on while the database is busy", []Edit{{
		File: "internal/loop/once.go",
		Old:  "\t\tcase class == Busy:\n\t\t\terr = l.backOff(ctx)\n",
	}}},
	{"a question that cannot be read asked again without a pause", []Edit{{
		File: "internal/loop/once.go",
		Old:  "err = l.backOff(ctx) // what",
		New:  "err = nil // what",
	}}},
	{"a cancelled job left as it stands", []Edit{{
		File: "internal/loop/state.go",
		Old:  "\tif steps.made(s.Step) >= 0 {\n",
		New:  "\tif steps.made(s.Step) >= len(steps) {\n",
	}}},
	{"the first change taken back first", []Edit{{
		File: "internal/loop/state.go",
		Old:  "for i := min(before, len(steps)) - 1; i >= 0; i-- {",
		New:  "for i := range min(before, len(steps)) {",
	}}},
	{"a point of no return forgotten", []Edit{{
		File: "internal/loop/state.go",
		Old:  "{ return step.NoReturn })",
		New:  "{ return step.NoReturn && s.Condition == Registered })",
	}}},
	{"a cancel honored over and over on the way back", []Edit{{
		File: "internal/loop/record.go",
		Old:  "\treturn err == nil && !r.state.Back\n",
		New:  "\treturn err == nil\n",
	}}},
	{"a job on its way back that a run takes forward", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "\tif l.state.Back {\n\t\treturn nil\n\t}\n\tif err := l.steps(ctx)",
		New:  "\tif err := l.steps(ctx)",
	}}},
	{"a failure on the way back that turns the job around", []Edit{{
		File: "internal/loop/state.go",
		Old:  "allowed, next.Condition = owned, Failed\n",
		New:  "allowed, next.Condition, next.Back = owned, Failed, false\n",
	}}},
	{"ranges of what is taken back kept", []Edit{{
		File: "internal/loop/state.go",
		Old:  "\t\t} else if !before[step.Range()] {\n",
		New:  "\t\t} else if !before[step.Range()] && step.Kind == chunkfill.Once {\n",
	}}},
	{"a second pass over the wrong walk", []Edit{{
		File: "internal/loop/state.go",
		Old:  "next.Step, next.Pass = steps.index(steps[s.Step].Of), 2\n",
		New:  "next.Step, next.Pass = steps.index(\"fill\")%len(steps), 2\n",
	}}},
	{"a retry that begins at the first step", []Edit{{
		File: "internal/loop/state.go",
		Old:  "\tcase Retried:\n\t\tallowed",
		New:  "\tcase Retried:\n\t\tnext.Step = 0\n\t\tallowed",
	}}},
	{"the range of the step before kept", []Edit{{
		File: "internal/loop/state.go",
		Old:  "\t\tcp.RangeRecord = chunkfill.RangeRecord{Of: of, RunID: cp.RunID, Owner: cp.Owner}\n",
		New:  "\t\tcp.Of = of\n",
	}}},
	{"a walk held against the database by each run", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "\tif l.cp.Entered {\n\t\treturn nil\n\t}\n",
	}}},
	{"a job begun as other steps taken all the same", []Edit{{
		File: "internal/loop/state.go",
		Old:  "if len(cp.Steps) > 0 && !slices.Equal(cp.Steps, steps) {",
		New:  "if len(cp.Steps) > 0 && len(steps) == 0 {",
	}}},
	{"a verification taken over without its walk", []Edit{{
		File: "internal/loop/state.go",
		Old:  "\tif steps.kind(s) == chunkfill.Verify && !s.Back {\n",
		New:  "\tif steps.kind(s) == chunkfill.Verify && s.Back {\n",
	}}},
	{"a second pass in which a change is taken back", []Edit{{
		File: "internal/loop/state.go",
		Old:  "next.Step, next.Pass = max(0, steps.made(s.Step)), 1\n",
		New:  "next.Step = max(0, steps.made(s.Step))\n",
	}}},
}
