package flags

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/jobs"
)

// Job describe a job on the command line.
type Job struct {
	Name                        string
	table, where, todo, version string
	set                         []string
	delete, keepBefore          bool
	archive, archiveTable       string
	archiveChildren             []string
}

// OfJob are the names of the flags that Register adds.
var OfJob = []string{"name", "table", "set", "where", "todo", "delete", "archive", "archive-table", "archive-child", "job-version"}

// Register adds the flags to a command.
func (f *Job) Register(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.Name, "name", "", "name of the migration; the same name continues the same job")
	set.StringVar(&f.table, "table", "", "table to rewrite")
	set.StringArrayVar(&f.set, "set", nil, "'column = expression' (repeatable)")
	set.StringVar(&f.where, "where", "", "only rows that match this condition")
	set.StringVar(&f.todo, "todo", "", "a condition that the rewrite makes false; rows that still match at the end are rewritten too")
	set.BoolVar(&f.delete, "delete", false, "delete the rows instead of updating them")
	set.StringVar(&f.archive, "archive", "", "with --delete: a file that each row is moved to first; it is made where it is missing")
	set.StringVar(&f.archiveTable, "archive-table", "", "with --delete: the table that rows are moved to, in that file (default: the name of --table) or, without --archive, in the database itself")
	set.StringArrayVar(&f.archiveChildren, "archive-child", nil, "with --archive or --archive-table: 'table' or 'table = name in the archive' whose rows go along with those that they refer to (repeatable)")
	set.BoolVar(&f.keepBefore, "keep-before", false, "keep what the rows were in a table beside, so that 'chunkfill undo' can put them back; part of the job's identity")
	set.StringVar(&f.version, "job-version", "", "part of the job's identity; change it when a Go function used in an expression changes")
}

// Parse returns the job that the flags describe.
func (f *Job) Parse() (jobs.Job, error) {
	if f.Name == "" || f.table == "" {
		return nil, exit.Usagef("--name and --table are required")
	}

	if f.delete {
		if len(f.set) > 0 || f.todo != "" {
			return nil, exit.Usagef("--delete can be combined with --where, not with --set or --todo")
		}
		if f.archives() {
			return f.parseArchive()
		}
		return jobs.Delete{Name: f.Name, Table: f.table, Where: f.where, KeepBefore: f.keepBefore}, nil
	}

	if f.archives() {
		return nil, exit.Usagef("--archive, --archive-table and --archive-child need --delete")
	}
	if len(f.set) == 0 {
		return nil, exit.Usagef("say what to do: --set 'column = expression', or --delete")
	}

	set, err := ParseAssigns(f.set)
	if err != nil {
		return nil, err
	}
	return jobs.Update{Name: f.Name, Table: f.table, Set: set, Where: f.where, Todo: f.todo, Version: f.version, KeepBefore: f.keepBefore}, nil
}

// ParseAssigns reads each 'column = expression' of a repeated --set.
func ParseAssigns(texts []string) (set []jobs.Assign, err error) {
	for _, text := range texts {
		assign, err := ParseAssign(text)
		if err != nil {
			return nil, err
		}
		set = append(set, assign)
	}
	return set, nil
}

func (f *Job) archives() bool {
	return f.archive != "" || f.archiveTable != "" || len(f.archiveChildren) > 0
}

// parseArchive returns the job that moves rows.
func (f *Job) parseArchive() (jobs.Job, error) {
	if f.archive == "" && f.archiveTable == "" {
		return nil, exit.Usagef("--archive-child needs --archive or --archive-table, which says where rows go")
	}
	if f.keepBefore {
		return nil, exit.Usagef("--keep-before cannot be combined with --archive: the archive has what the rows were")
	}
	job := jobs.Archive{Name: f.Name, Table: f.table, Where: f.where, File: f.archive, Into: f.archiveTable}
	for _, text := range f.archiveChildren {
		table, into, _ := strings.Cut(text, "=")
		job.Children = append(job.Children, jobs.ArchiveChild{Table: strings.TrimSpace(table), Into: strings.TrimSpace(into)})
	}
	return job, nil
}

// ParseAssign splits 'column = expression' at the first =. A column name that has
// one itself stands in double quotes.
func ParseAssign(text string) (jobs.Assign, error) {
	rest := strings.TrimSpace(text)

	var column string
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		name, after, closed := strings.Cut(strings.ReplaceAll(quoted, `""`, "\x00"), `"`)
		if closed {
			column, rest = strings.ReplaceAll(name, "\x00", `"`), strings.ReplaceAll(after, "\x00", `""`)
		}
	} else {
		i := max(0, strings.Index(rest, "="))
		column, rest = strings.TrimSpace(rest[:i]), rest[i:]
	}

	expr, ok := strings.CutPrefix(strings.TrimSpace(rest), "=")
	if !ok || column == "" || strings.TrimSpace(expr) == "" {
		return jobs.Assign{}, exit.Usagef("--set %q is not of the form 'column = expression'", text)
	}
	return jobs.Assign{Column: column, Expr: strings.TrimSpace(expr)}, nil
}
