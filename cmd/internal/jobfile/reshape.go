package jobfile

import (
	"errors"
	"strings"

	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// schemaKeys are the keys of a job that changes the schema.
type schemaKeys struct {
	Schema  string `toml:"schema"` // a CREATE TABLE, and any CREATE INDEX
	KeepOld bool   `toml:"keep_old"`
	Index   string `toml:"index"` // a CREATE INDEX
	Twin    bool   `toml:"twin"`

	HoldSwap   bool   `toml:"hold_swap"`
	SwapWindow string `toml:"swap_window"`
}

// kind is the key that makes a job one that changes the schema, "" for another.
func (k schemaKeys) kind() string {
	switch {
	case strings.TrimSpace(k.Index) != "":
		return "index"
	case strings.TrimSpace(k.Schema) != "":
		return "schema"
	}
	return ""
}

// named fills in the name and the table of an index, which its statement has.
func (e *entry) named() error {
	if e.kind() != "index" {
		return nil
	}
	name, table, err := reshape.IndexIn(e.Index)
	switch {
	case err != nil:
		return err
	case e.Table != "" && !strings.EqualFold(e.Table, table):
		return errors.New("the index is one of " + table + ", and table says " + e.Table)
	}
	e.Table = table
	if e.Name == "" {
		e.Name = name
	}
	return nil
}

// schemaJob is an entry with schema or index as a job.
func (e entry) schemaJob(set []jobs.Assign) (jobs.Job, error) {
	if e.Where != "" || e.Todo != "" || e.Delete || e.Version != "" || e.Keep {
		return nil, errors.New("what changes the schema goes without where, todo, delete, version and keep_before")
	}
	if e.kind() == "index" {
		if e.Schema != "" || e.Set != nil || e.KeepOld {
			return nil, errors.New("index goes without schema, set and keep_old")
		}
		return jobs.Index{Name: e.Name, Table: e.Table, Create: e.Index, Twin: e.Twin, HoldSwap: e.HoldSwap, SwapWindow: e.SwapWindow}, nil
	}
	if e.Twin {
		return nil, errors.New("twin is for an index, not for schema")
	}
	return jobs.Rebuild{Name: e.Name, Table: e.Table, Schema: e.Schema, Set: set, KeepOld: e.KeepOld,
		HoldSwap: e.HoldSwap, SwapWindow: e.SwapWindow}, nil
}
