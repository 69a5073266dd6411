package doctor

import "fmt"

// version of SQLite in its own numeric form, such as 3051003.
type version uint32

func (v version) String() string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}

func parseVersion(text string) version {
	var major, minor, patch version
	_, _ = fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch)
	return major*1_000_000 + minor*1_000 + patch
}

// bug is one of SQLite's that a database of the kind that this is for can meet, and that
// SQLite's own documents tell of.
type bug struct {
	what           string
	since, fixed   version
	backports      []version // that have the fix, each with the later releases of its branch
	document, does string
}

var bugs = []bug{
	{
		what: "the WAL-reset bug", since: 3_007_000, fixed: 3_051_003, backports: []version{3_044_006, 3_050_007},
		does:     "may lose a commit or corrupt the file where two connections write or checkpoint at one instant",
		document: "https://sqlite.org/wal.html#walresetbug",
	},
	{
		what: "the bug of SAVEPOINT with temp_store=MEMORY", since: 3_035_000, fixed: 3_037_002,
		does:     "may corrupt the file where a savepoint is rolled back and the transaction goes on",
		document: "https://sqlite.org/releaselog/3_37_2.html",
	},
}

// has reports whether a version has the bug.
func (b bug) has(v version) bool {
	if v < b.since || v >= b.fixed {
		return false
	}
	for _, fixed := range b.backports {
		if v/1_000 == fixed/1_000 && v >= fixed {
			return false
		}
	}
	return true
}

func bugsOf(v version) (known []bug) {
	for _, b := range bugs {
		if b.has(v) {
			known = append(known, b)
		}
	}
	return known
}
