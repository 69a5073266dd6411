package torture

// Bugs of a job that moves rows into an archive.
var (
	DeleteBeforeCopy = Bug{"rows deleted before the archive has committed their copies", []Edit{{
		File: "internal/archive/file.go",
		Old:  "\tif _, err := f.conn.ExecContext(ctx, \"BEGIN IMMEDIATE\"); err != nil {\n\t\treturn err\n\t}\n",
		New:  "\t_, _ = f.conn.ExecContext(ctx, \"COMMIT\")\n\tif _, err := f.conn.ExecContext(ctx, \"BEGIN IMMEDIATE\"); err != nil {\n\t\treturn err\n\t}\n",
	}, {
		File: "internal/archive/file.go",
		Old:  "if _, err = f.conn.ExecContext(ctx, \"COMMIT\"); err == nil {",
		New:  "if late {\n\t\t\treturn nil\n\t\t}\n\t\tlate = true\n\t\tif _, err = f.conn.ExecContext(ctx, \"COMMIT\"); err == nil {",
	}, {
		File: "internal/archive/file.go",
		Old:  "// tx runs",
		New:  "var late bool\n\n// tx runs",
	}}}
	ArchiveNotSynced = Bug{"the archive written with synchronous=OFF", []Edit{{
		File: "internal/lite/beside.go",
		Old:  ".synchronous = EXTRA\"",
		New:  ".synchronous = OFF\"",
	}}}
	DeletedByKey = Bug{"rows deleted by their keys alone", []Edit{{
		File: "internal/rowfunc/copies.go",
		Old:  "if found && row.hash == string(sum) {",
		New:  "if _ = sum; found {",
	}}}
	SettledUnsynced = Bug{"a copy settled by a count that the database may lose", []Edit{{
		File: "internal/archive/notes.go",
		Old:  "const unsettled = 10_000",
		New:  "const unsettled = 0",
	}, {
		File: "internal/archive/notes.go",
		Old:  "\tif err := syncLog(f.main); err != nil {\n\t\treturn err\n\t}\n",
	}}}
	StaleCopyKept = Bug{"a copy left in the archive whose row the database still has", []Edit{{
		File: "internal/archive/notes.go",
		Old:  "\tif err := f.takeOut(ctx, rows.Family, gone); err != nil {\n\t\treturn 0, err\n\t}\n",
	}}}
	ChildrenUnseen = Bug{"rows of children compared by nothing before they are deleted", []Edit{{
		File: "internal/archive/join.go",
		Old:  "rowfunc.Hash(columnsOf(child.Table, p.last()))",
		New:  "\"x''\"",
	}}}
	ChildrenLeftIn = Bug{"copies of children left in the archive whose rows the database still has", []Edit{{
		File: "internal/archive/notes.go",
		Old:  "for _, m := range family.members() {\n\t\tkeys, err",
		New:  "for _, m := range family.members()[:1] {\n\t\tkeys, err",
	}}}
	MiscountedNotes = Bug{"the rest of a chunk deleted after a row of it has gone into quarantine", []Edit{{
		File: "engine/hold.go",
		Old:  "\t\ts.copied = place{} // its copy must not stay\n",
	}}}
)

// ArchiveBugs are those that moves, killed or with the power cut, must bring to light.
var ArchiveBugs = []Bug{DeleteBeforeCopy, ArchiveNotSynced, DeletedByKey, SettledUnsynced, StaleCopyKept, ChildrenUnseen, ChildrenLeftIn, MiscountedNotes}
