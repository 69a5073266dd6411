package record

import (
	"regexp"
	"slices"
)

// Prefix is how the names of all objects of ours in a schema begin. The ledger, without its
// last letter, is another's.
const Prefix = "_async_migration_"

var made = regexp.MustCompile(`(?:TABLE|INDEX) main\.(\w+)`)

// Objects returns the names of the tables and indexes that are kept in a database, that of
// version 1 among them. Whatever else has their Prefix is of no use to this version.
func Objects() []string {
	names := []string{"_async_migration_checkpoints"}
	for _, statement := range slices.Concat(create, add3) {
		if m := made.FindStringSubmatch(statement); m != nil {
			names = append(names, m[1])
		}
	}
	return names
}
