package jobs

import "fmt"

// Archive removes the rows for which Where holds, as [Delete] does, and moves each into an
// archive first: a table of another file, or another table of the same file.
//
// In another file a row is durable before it is deleted, and only a row is deleted that still is, by
// type and bytes, what was copied; one that has changed meanwhile is copied again. So a row is at no
// moment in neither file, and in one of them at the end, whatever dies when. A key under which
// the archive holds another row goes into quarantine and stays.
//
// The archive's table is made where it is missing: with the columns and the key of the table,
// without its triggers, foreign keys, other indexes and other constraints. A generated column is archived as the value
// that it has. A table that foreign keys refer to with ON DELETE CASCADE, SET NULL or SET DEFAULT
// is refused, where these are enforced, unless Children names the tables that have them.
type Archive struct {
	Name, Table string
	Where       string // "" for every row; those that come while it runs, too
	Args        []any  // of the ? in Where
	File        string // path of the archive; "" for a table of the same file
	Into        string // table of the archive; "" for the name of Table, in another file

	// Children are tables whose rows go along, in the same transaction: those that refer to a row which is moved, and
	// those that refer to these, by whatever foreign key. A row of which one cannot go stays, in quarantine.
	Children []ArchiveChild
}

// ArchiveChild is a table whose rows an [Archive] moves with those that they refer to.
type ArchiveChild struct {
	Table string
	Into  string // table of the archive; "" for the name of Table, in another file
}

// KindArchive is the Kind of an [Archive].
const KindArchive Kind = "archive"

// Spec implements [Job].
func (a Archive) Spec() Spec {
	return Spec{Kind: KindArchive, Name: a.Name, Table: a.Table, Where: a.Where, Args: a.Args, Version: "table " + a.into() + " of " + a.file() + a.children()}
}

func (a Archive) into() string {
	if a.Into == "" {
		return a.Table
	}
	return a.Into
}

func (a Archive) file() string {
	if a.File == "" {
		return "the same file"
	}
	return a.File
}

func (a Archive) children() (text string) {
	for _, child := range a.Children {
		into := child.Into
		if into == "" {
			into = child.Table
		}
		text += fmt.Sprintf(", with %s in %q", child.Table, into)
	}
	return text
}
