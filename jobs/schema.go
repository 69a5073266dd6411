package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Schema takes a database from one schema to another, by a list of changes that are made in their
// order, as one job: `chunkfill diff` makes such a list, and `chunkfill apply` runs it.
//
// A change that SQLite makes without reading rows is one short transaction. One that would read or write
// each row of a large table is a [Rebuild] of it. A cancel takes back the change that is being
// made, and leaves those before it.
type Schema struct {
	Name    string
	Goal    string // what tells the schema that is wanted from any other; part of the job's identity
	Changes []Change
}

// Change is one of a [Schema].
type Change struct {
	Name  string `json:"name"` // of its own among the changes
	Table string `json:"table"`

	// Statements are made in one transaction. Where the change is a Rebuild they are made before it, in the
	// transaction in which the tables change places, and Then after it. KeepOld without a Rebuild has Table go: one with
	// rows stays under the name "_chunkfill_old_" and its own, without its triggers and foreign keys.
	Statements []string `json:"statements"`
	Rebuild    string   `json:"rebuild"` // as [Rebuild.Schema] has it; "" for none
	Set        []Assign `json:"set"`
	KeepOld    bool     `json:"keep_old"`
	Then       []string `json:"then"`

	// Was is the CREATE TABLE for which the Rebuild was written; "" for whatever is there. A table that has got another
	// one stops the job before it is touched: a column that was added meanwhile would be lost.
	Was string `json:"was"`
}

// KindSchema is the Kind of a [Schema].
const KindSchema Kind = "schema"

// Spec implements [Job].
func (s Schema) Spec() Spec {
	table := "sqlite_schema"
	if len(s.Changes) > 0 {
		table = s.Changes[0].Table
	}
	return Spec{Kind: KindSchema, Name: s.Name, Table: table, Version: s.Definition()}
}

// schemaWord is how the definition of a Schema begins.
const schemaWord = "SCHEMA "

// Definition is the job in full, as its record keeps it.
func (s Schema) Definition() string {
	names := make([]string, len(s.Changes))
	for i, c := range s.Changes {
		names[i] = c.Name
	}
	all, err := json.Marshal(s.Changes)
	if err != nil {
		panic(err) // of strings alone
	}
	return schemaWord + s.Goal + ": " + strings.Join(names, "; ") + "\n" + string(all)
}

// ParseSchema is the job that a definition in the record describes; ok is false for that of another
// kind of job.
func ParseSchema(name, definition string) (s Schema, ok bool, err error) {
	text, ok := strings.CutPrefix(definition, schemaWord)
	if !ok {
		return s, false, nil
	}
	goal, _, _ := strings.Cut(text, ":")
	_, changes, _ := strings.Cut(text, "\n")
	s = Schema{Name: name, Goal: goal}
	if err := json.Unmarshal([]byte(changes), &s.Changes); err != nil {
		return s, true, fmt.Errorf("read the changes of %s: %w", name, err)
	}
	return s, true, nil
}
