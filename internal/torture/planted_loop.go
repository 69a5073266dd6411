package torture

// LoopBugs are those of the loop alone, which its own tests must catch without a database.
// They are ordered by what they break: what bounds a batch, what is recorded, what is asked,
// how a run ends.
var LoopBugs = []Bug{
	{"the gate left out before a batch", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\t\tif err := l.gate(ctx); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tbound, ok",
		New:  "\t\tbound, ok",
	}}},
	{"the hold charged twice", []Edit{{
		File: "internal/loop/record.go",
		Old:  "\tl.lap = l.lap.Add(out.Held)\n",
	}}},
	{"no gate after a wait for computed rows", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\t\t\terr = l.gate(ctx)\n\t\t\treturn bound, err == nil, err\n",
		New:  "\t\t\treturn bound, true, nil\n",
	}}},
	{"a resume that goes straight to work", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "\t\tswitch {\n\t\tcase now.none() && standing.none():",
		New: "\t\tif standing.on == PauseAsked && now.on != PauseAsked {\n\t\t\treturn l.change(ctx, Opened, why, l.resumed(standing))\n\t\t}\n" +
			"\t\tswitch {\n\t\tcase now.none() && standing.none():",
	}}},
	{"a batch that does not look who waits", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\tcase l.db.Waiting():\n\t\treturn throttle.ReasonLive\n",
	}}},
	{"a rate that is not waited for", []Edit{{
		File: "internal/loop/pace.go",
		Old:  "\t\tl.due = now.Add(delay)\n",
	}}},
	{"a rate forgotten in a pause", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "\t\tcase now.none():\n",
		New:  "\t\tcase now.none():\n\t\t\tl.due = time.Time{}\n",
	}}},
	{"a full disk tried again at once", []Edit{{
		File: "internal/loop/full.go",
		Old:  "if now.Sub(f.at) < f.pause && free-roomMade < f.free {",
		New:  "if false {",
	}}},
	{"the record advanced though Hold failed", []Edit{{
		File: "internal/loop/walk.go",
		Old:  "\tif err == nil && !out.None {",
		New:  "\tif out.Saved.Name != \"\" {",
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
		Old:  "\treturn l.Listen(ctx)\n",
		New:  "\treturn nil\n",
	}}},
	{"tuned values passed over", []Edit{{
		File: "internal/loop/gate.go",
		Old:  "if l.request.Tuning != l.tuned {",
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
		Old:  "\tif err := l.db.Prepare(ctx, cp); err != nil {\n\t\treturn err\n\t}\n",
	}}},
	{"no end to the passes", []Edit{{
		File: "internal/loop/conduct.go",
		Old:  "\t\t\tagain = true\n",
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
