package preflight

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A folder stands for a database. Its contents form runs: the numbered migrations are one
// run, and so is each other SQL file and each declaration of a Go file. Within a run,
// statements happen in the order in which they are written; a run sees what the others have
// left behind.
type folder struct {
	path string
	runs []*run
}

type run struct {
	folder *folder
	hits   []*hit
	final  *state

	// founded holds the tables that the run creates without having seen them before,
	// rebuilt those that it creates again: they existed before the run.
	founded, rebuilt map[string]bool
}

// seat is the position of a file: the folder that stands for its database, the series of
// numbered files it belongs to, and its order in that series.
type seat struct{ folder, series, order string }

var (
	numbered = regexp.MustCompile(`^([A-Za-z_-]*?)(\d+)(?:[^0-9A-Za-z]|_|$)`)
	version  = regexp.MustCompile(`^[vV]?\d+(?:\.\d+)*$`)
	ofDown   = regexp.MustCompile(`(?i)(?:^|[._-])(?:down|undo|rollback)\.[a-z.]+$`)
)

// seatOf determines the seat from the path. If each migration, or each version, has a
// folder of its own, the number is the folder's.
func seatOf(name string) seat {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if version.MatchString(path.Base(dir)) && path.Ext(base) != ".go" {
		return seat{path.Dir(dir), "#.", natural(path.Base(dir)) + "/" + natural(base)}
	}
	if m := numbered.FindStringSubmatch(base); m != nil && (path.Ext(base) != ".go" || m[1] == "") {
		return seat{dir, "#" + strings.ToLower(m[1]), natural(base)}
	}
	if m := numbered.FindStringSubmatch(path.Base(dir)); m != nil && m[1] == "" && path.Ext(base) != ".go" {
		return seat{path.Dir(dir), "#/", natural(path.Base(dir)) + "/" + base}
	}
	return seat{folder: dir}
}

var digits = regexp.MustCompile(`\d+`)

// natural returns a sort key in which 10 comes after 9, and the down migration after its up
// migration.
func natural(base string) string {
	order := digits.ReplaceAllStringFunc(base, func(n string) string {
		n = strings.TrimLeft(n, "0")
		return strings.Repeat("0", max(0, 24-len(n))) + n
	})
	if m := numbered.FindStringSubmatchIndex(order); m != nil && ofDown.MatchString(base) {
		return order[:m[5]] + "\xff" + order[m[5]:]
	}
	return order
}

// timeline is what is known about all tables, at the time of each statement.
type timeline struct {
	config  map[string][][]string // keys, by table
	change  bool
	folders map[string]*folder
	defined map[string][]*run // by table
	merged  map[lookupKey]*table
}

type lookupKey struct {
	run  *run
	name string
}

// newTimeline orders the statements of all files, and plays each run twice: once on its own
// and once with the results of the others.
func newTimeline(c Config, change bool, units []*unit) *timeline {
	t := &timeline{config: configKeys(c), change: change, folders: map[string]*folder{}, defined: map[string][]*run{},
		merged: map[lookupKey]*table{}}
	t.seat(units)
	for _, f := range t.folders {
		for _, r := range f.runs {
			r.final = t.play(r, false)
		}
	}
	for _, f := range t.folders {
		for _, r := range f.runs {
			for name, table := range r.final.tables {
				if table != nil {
					t.defined[name] = append(t.defined[name], r)
				}
			}
		}
	}
	for _, f := range t.folders {
		for _, r := range f.runs {
			t.play(r, true)
		}
	}
	return t
}

func (t *timeline) seat(units []*unit) {
	type key struct {
		folder, series string
		unit           *unit
		decl           int
	}
	runs := map[key]*run{}
	seats := map[*unit]seat{}
	for _, u := range units {
		seats[u] = seatOf(u.rooted())
	}
	ordered := slices.Clone(units)
	slices.SortStableFunc(ordered, func(a, b *unit) int {
		return cmp.Or(strings.Compare(seats[a].folder, seats[b].folder), strings.Compare(seats[a].order, seats[b].order))
	})
	for _, u := range ordered {
		s := seats[u]
		f := t.folders[s.folder]
		if f == nil {
			f = &folder{path: s.folder}
			t.folders[s.folder] = f
		}
		for i := range u.hits {
			k := key{folder: s.folder, series: s.series}
			if s.series == "" {
				k.unit, k.decl = u, u.hits[i].decl
			}
			if runs[k] == nil {
				runs[k] = &run{folder: f, founded: map[string]bool{}, rebuilt: map[string]bool{}}
				f.runs = append(f.runs, runs[k])
			}
			u.hits[i].unit = u
			runs[k].hits = append(runs[k].hits, &u.hits[i])
		}
	}
}

// play applies the statements of a run one after another. Down migrations are a branch of
// their own: they are undone before the next migration.
func (t *timeline) play(r *run, judge bool) *state {
	now := &state{tables: map[string]*table{}, indexes: map[string]string{}}
	var back *state
	for _, h := range r.hits {
		at := now
		if !h.takesBack() {
			back = nil
		} else {
			if back == nil {
				back = &state{under: now, tables: map[string]*table{}, indexes: map[string]string{}}
			}
			at = back
		}
		moment := moment{t, r, at, judge}
		if judge {
			h.bound, h.fresh, h.command = moment.bound(h), moment.fresh(h), moment.command(h)
		}
		moment.happen(h)
	}
	return now
}

func (h *hit) takesBack() bool { return h.Down || ofDown.MatchString(path.Base(h.unit.Path)) }

// nearest returns the runs that create a table and are nearest to a folder: in it, or else
// with the longest common path.
func (t *timeline) nearest(r *run, name string) (runs []*run) {
	best := -1
	for _, other := range t.defined[name] {
		if other == r || other.final.tables[name].borrowed {
			continue
		}
		near := nearness(r.folder.path, other.folder.path)
		if near > best {
			best, runs = near, nil
		}
		if near == best {
			runs = append(runs, other)
		}
	}
	return runs
}

func nearness(a, b string) int {
	if a == b {
		return 1 << 20
	}
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}

// outside returns a table as all other runs leave it; where they disagree, it is unknown.
func (t *timeline) outside(r *run, name string) *table {
	key := lookupKey{r, name}
	if merged, ok := t.merged[key]; ok {
		return merged
	}
	var merged *table
	for _, other := range t.nearest(r, name) {
		merged = merged.and(other.final.tables[name])
	}
	for _, other := range t.defined[name] {
		if changed := other.final.tables[name]; merged != nil && other != r && changed.borrowed && other.folder == r.folder {
			merged.keys = append(merged.keys, changed.keys...)
			merged.filled = merged.filled || changed.filled
		}
	}
	t.merged[key] = merged
	return merged
}

// creates reports whether another run of the same folder creates the table for the first
// time, rather than rebuilding it.
func (t *timeline) creates(r *run, name string) bool {
	return slices.ContainsFunc(t.defined[name], func(other *run) bool {
		return other != r && other.folder == r.folder && !other.final.tables[name].borrowed && !other.rebuilt[name]
	})
}

func configKeys(c Config) map[string][][]string {
	keys := map[string][][]string{}
	for table, list := range c.Keys {
		for _, key := range list {
			columns := strings.Split(strings.ToLower(key), ",")
			for i := range columns {
				columns[i] = strings.TrimSpace(columns[i])
			}
			keys[strings.ToLower(table)] = append(keys[strings.ToLower(table)], columns)
		}
	}
	return keys
}

// tableName returns a table's name, qualified by its database if one is given.
func tableName(database, name string) string {
	if database != "" {
		name = database + "." + name
	}
	return strings.ToLower(name)
}

// The actions of ALTER TABLE that the timeline takes into account.
const (
	renameTable  = "RENAME TO"
	renameColumn = "RENAME COLUMN"
	dropColumn   = "DROP COLUMN"
	addColumn    = "ADD COLUMN"
)
