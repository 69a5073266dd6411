// Package jobfile reads files of jobs, in TOML, for `chunkfill run FILE`. It is strict: what
// it does not know is an error that says where, and nothing of the file is run.
package jobfile

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/jobs"
)

// File is what a file says: jobs, in the order in which they run.
type File struct {
	Path string
	DB   string // "" where it does not say; else from the folder of the file
	Jobs []Job
}

// Job is one of them, with its settings.
type Job struct {
	jobs.Job
	Settings
	Line int // where it begins

	file  string
	lines lines
}

// Settings are those of a run. nil is what the file does not say.
type Settings struct {
	TargetHold      *string  `toml:"target_hold"` // a duration
	MaxRate         *float64 `toml:"max_rate"`
	Window          *string  `toml:"window"`
	SoleProcess     *bool    `toml:"sole_process"`
	QuarantineLimit *int     `toml:"quarantine_limit"`
	WALBudget       *int64   `toml:"wal_budget"`
	MinFree         *int64   `toml:"min_free"`
	ForeignKeys     *bool    `toml:"foreign_keys"`

	// Hold is TargetHold, read; 0 where the file does not say.
	Hold time.Duration `toml:"-"`
}

// document is the file as it is written. Settings outside of a job are for all jobs.
type document struct {
	DB string `toml:"db"`
	Settings
	Jobs []entry `toml:"job"`
}

// entry is a [[job]].
type entry struct {
	Name    string `toml:"name"`
	Table   string `toml:"table"`
	Set     any    `toml:"set"` // a table of column = expression, or a list of 'column = expression'
	Where   string `toml:"where"`
	Todo    string `toml:"todo"`
	Delete  bool   `toml:"delete"`
	Version string `toml:"version"`
	Keep    bool   `toml:"keep_before"`
	schemaKeys
	Settings
}

// Read reads a file and checks what can be checked without the database. What is wrong is
// an error of usage that names file and line.
func Read(path string) (File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return File{}, exit.Usagef("read the job file: %w", err)
	}
	return parse(path, text)
}

func parse(path string, text []byte) (File, error) {
	where := linesOf(text)
	var doc document
	if err := decode(text, &doc); err != nil {
		return File{}, exit.Usagef("%s:%w", path, err)
	}
	if where.single > 0 {
		return File{}, exit.Usagef("%s:%d: [job] is one table: begin each job with [[job]]", path, where.single)
	}
	if len(doc.Jobs) == 0 {
		return File{}, exit.Usagef("%s: there is no job in it: begin each with [[job]], and give it a name and a table", path)
	}

	f := File{Path: path, DB: doc.DB}
	if f.DB != "" && !filepath.IsAbs(f.DB) {
		f.DB = filepath.Join(filepath.Dir(path), f.DB)
	}
	first := map[string]int{}
	for i, e := range doc.Jobs {
		at := where.ofJob(i)
		job, err := e.job(doc.Settings, at)
		if err != nil {
			return File{}, exit.Usagef("%s:%w", path, err)
		}
		name := job.Spec().Name
		if line, twice := first[name]; twice {
			return File{}, exit.Usagef("%s:%d: job %s is in the file twice, first in line %d: a name is for one job", path, at.of("name"), name, line)
		}
		first[name], job.file = at.of("name"), path
		f.Jobs = append(f.Jobs, job)
	}
	return f, nil
}

// At says where a key of the job, or a setting for all jobs, stands: "FILE:LINE".
func (j Job) At(key string) string { return fmt.Sprintf("%s:%d", j.file, j.lines.of(key)) }

// decode is strict about keys and types. Its errors begin with the line.
func decode(text []byte, doc *document) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(doc)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("%d: unknown key %s", line, explainUnknown(first.Key()))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return fmt.Errorf("%d: %s", line, explainWrong(wrong))
	case err != nil:
		return fmt.Errorf(" %w", err)
	}
	return nil
}

// job is the entry as a job, with the settings for all where it has none of its own.
func (e entry) job(all Settings, at lines) (Job, error) {
	job := Job{Settings: e.over(all), Line: at.of(""), lines: at}
	if err := e.named(); err != nil {
		return job, fmt.Errorf("%d: job %s: %w", at.of("index"), e.Name, err)
	}
	if e.Name == "" || e.Table == "" {
		return job, fmt.Errorf("%d: a job needs a name and a table", at.of(""))
	}
	if err := job.check(at); err != nil {
		return job, err
	}

	set, err := assigns(e.Set)
	switch {
	case err != nil:
		return job, fmt.Errorf("%d: job %s: %w", at.of("set"), e.Name, err)
	case e.kind() != "":
		if job.Job, err = e.schemaJob(set); err != nil {
			return job, fmt.Errorf("%d: job %s: %w", at.of(e.kind()), e.Name, err)
		}
	case e.Delete && (e.Set != nil || e.Todo != "" || e.Version != ""):
		return job, fmt.Errorf("%d: job %s: delete goes with where, not with set, todo or version", at.of("delete"), e.Name)
	case e.Delete:
		job.Job = jobs.Delete{Name: e.Name, Table: e.Table, Where: e.Where, KeepBefore: e.Keep}
	case len(set) == 0:
		return job, fmt.Errorf(`%d: job %s: say what to do: set = { column = "expression" }, or delete = true, or schema, or index`, at.of("set"), e.Name)
	default:
		job.Job = jobs.Update{Name: e.Name, Table: e.Table, Set: set, Where: e.Where, Todo: e.Todo, Version: e.Version, KeepBefore: e.Keep}
	}
	if err := job.Spec().Validate(); err != nil {
		return job, fmt.Errorf("%d: %w", at.of("name"), err)
	}
	return job, nil
}

// check reads the settings.
func (s *Settings) check(at lines) error {
	if s.TargetHold != nil {
		d, err := time.ParseDuration(*s.TargetHold)
		if err != nil || d <= 0 {
			return fmt.Errorf("%d: target_hold %q is not a positive duration, such as \"2ms\"", at.of("target_hold"), *s.TargetHold)
		}
		s.Hold = d
	}
	if r := s.MaxRate; r != nil && (!(*r > 0) || math.IsInf(*r, 0)) {
		return fmt.Errorf("%d: max_rate %v is not a positive number of rows per second", at.of("max_rate"), *r)
	}
	return nil
}

// over is these settings, and others where these do not say.
func (s Settings) over(all Settings) Settings {
	return Settings{
		TargetHold: or(s.TargetHold, all.TargetHold), MaxRate: or(s.MaxRate, all.MaxRate), Window: or(s.Window, all.Window),
		SoleProcess: or(s.SoleProcess, all.SoleProcess), QuarantineLimit: or(s.QuarantineLimit, all.QuarantineLimit),
		WALBudget: or(s.WALBudget, all.WALBudget), MinFree: or(s.MinFree, all.MinFree), ForeignKeys: or(s.ForeignKeys, all.ForeignKeys),
	}
}

func or[T any](value, other *T) *T {
	if value != nil {
		return value
	}
	return other
}
