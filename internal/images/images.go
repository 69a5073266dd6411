// Package images keeps what rows were before a job, so that they can be put back. It owns the
// SQL of the table of images, one for each job, and of what is done with it; the engine runs
// that inside the transactions of its batches.
//
// An image has the key of its row, the values that the job found (the old ones), those that
// stood after its statement and the triggers of that (the new ones), and a digest of the
// columns that it did not write. The columns of the table have no type, and compare byte by
// byte: a value in an image is what it was in its row, and what compares equal in the row's
// column ('Ab' and 'ab', '12' and 12, 1 and 1.0) does not here.
package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// Prefix begins the names of tables of images.
const Prefix = "_async_migration_images_"

// reserved begins the names of the columns of a table of images, which a table with images
// may not have: both stand in one statement.
const reserved = "_async_"

// Columns of a table of images beside those of the values.
const (
	hashColumn  = reserved + "hash"
	stateColumn = reserved + "state"
	errorColumn = reserved + "error"
)

func keyColumn(i int) string { return fmt.Sprintf("%sk%d", reserved, i) }
func oldColumn(i int) string { return fmt.Sprintf("%so%d", reserved, i) }
func newColumn(i int) string { return fmt.Sprintf("%sn%d", reserved, i) }

// Set is the images of one job: where they are, and what of its rows they hold. It is stored,
// since it is needed without the job's code.
type Set struct {
	Images  string   `json:"-"`       // the table of images
	Table   string   `json:"table"`   // whose rows they are of
	Delete  bool     `json:"delete"`  // the job deletes rows
	Rowid   bool     `json:"rowid"`   // the key is an INTEGER PRIMARY KEY
	Key     []string `json:"key"`     // columns of the key
	Columns []string `json:"columns"` // whose values are kept: those written, or all of a row that is deleted
	Others  []string `json:"others"`  // whose digest is kept
	Shape   string   `json:"shape"`   // digest of how all of these are declared
	Indexed bool     `json:"indexed"` // rows may be gone after the statement, so images to settle have an index
}

// Describe returns what is to be kept of the rows that a job writes. writes are the columns;
// none for a job that deletes rows. triggers says whether the table has any.
func Describe(t lite.Table, deletes bool, writes []string, triggers bool) (Set, error) {
	s := Set{Table: t.Name, Delete: deletes, Rowid: t.Key.Rowid, Key: t.Key.Names(), Columns: []string{}, Others: []string{}, Indexed: deletes || triggers}
	for _, c := range t.Columns {
		written := has(writes, c.Name)
		switch {
		case strings.HasPrefix(lite.FoldName(c.Name), reserved):
			return s, fmt.Errorf("%w: %s has a column %s, and names that begin with %s are those of the images; rename it, or leave KeepBefore out",
				chunkfill.ErrSpec, t.Name, c.Name, reserved)
		case c.Generated:
		case deletes || written:
			s.Columns = append(s.Columns, c.Name)
		case !t.Key.Has(c.Name):
			s.Others = append(s.Others, c.Name)
		}
	}
	s.Shape = shape(s, t)
	return s, nil
}

// shape is a digest of the declarations of all columns that the images know. A column that is
// added to the table changes nothing.
func shape(s Set, t lite.Table) string {
	var declared []string
	for _, name := range slices.Concat(s.Key, s.Columns, s.Others) {
		c, err := t.Column(name)
		declared = append(declared, fmt.Sprintf("%q %q %v %v", lite.FoldName(name), c.Decl, c.Generated, err == nil))
	}
	text, _ := json.Marshal([]any{declared, t.Key.Columns, t.Key.Rowid, t.WithoutRowid}) // strings and booleans always encode
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Source returns the table of the rows, walked by the key that the images have. It is
// ErrTableChanged where that, or a column that the images know, is declared otherwise now.
func (s Set) Source(t lite.Table) (lite.Table, error) {
	for _, key := range t.Keys {
		t.Key = key
		if slices.Equal(key.Names(), s.Key) && shape(s, t) == s.Shape {
			return t, nil
		}
	}
	return t, fmt.Errorf("%w: a column of %s that images of its rows are kept of, or its key, is gone or declared otherwise", chunkfill.ErrTableChanged, s.Table)
}

// Encode is what is stored of the set.
func (s Set) Encode() string {
	text, _ := json.Marshal(s) // strings and booleans always encode
	return string(text)
}

// Decode reads what Encode wrote; images is the table.
func Decode(images, about string) (Set, error) {
	s := Set{}
	if err := json.Unmarshal([]byte(about), &s); err != nil || len(s.Key) == 0 || !strings.HasPrefix(images, Prefix) {
		return s, fmt.Errorf("%w: what is noted of the images %s: %q", chunkfill.ErrUnreadable, images, about)
	}
	s.Images = images
	return s, nil
}

// Create returns the statements that make the table.
func (s Set) Create() []string {
	columns := make([]string, 0, len(s.Key)+2*len(s.Columns)+3)
	for i := range s.Key {
		columns = append(columns, keyColumn(i))
	}
	for i := range s.Columns {
		columns = append(columns, oldColumn(i))
		if !s.Delete {
			columns = append(columns, newColumn(i))
		}
	}
	columns = append(columns, hashColumn, fmt.Sprintf("%s DEFAULT %d", stateColumn, disputed), errorColumn)

	end := ", PRIMARY KEY (" + strings.Join(columns[:len(s.Key)], ", ") + ")) WITHOUT ROWID"
	if s.Rowid { // whose values are integers and nothing else
		columns[0] += " INTEGER PRIMARY KEY"
		end = ")"
	}
	table := "CREATE TABLE " + lite.Main(s.Images) + " (" + strings.Join(columns, ", ") + end
	if !s.Indexed {
		return []string{table}
	}
	return []string{
		table,
		// It is empty but in the middle of a transaction, and finds there what a statement has yet to settle.
		fmt.Sprintf("CREATE INDEX %s ON %s (%s) WHERE %[3]s <= %[4]d", lite.Main(pendingIndex(s.Images)), lite.Ident(s.Images), stateColumn, pending),
	}
}

// pendingIndex is the index of a table of images.
func pendingIndex(images string) string { return images + "_pending" }

// Writes reports whether the job of the set may have written a column that another's has.
func (s Set) Writes(other Set) bool {
	if !lite.SameName(s.Table, other.Table) {
		return false
	}
	return s.Delete || other.Delete || len(s.Shared(other)) > 0
}

// Shared returns the columns that both keep.
func (s Set) Shared(other Set) (names []string) {
	for _, name := range s.Columns {
		if has(other.Columns, name) {
			names = append(names, name)
		}
	}
	return names
}

// How many rows tell what an image takes, and what it takes beside its values: the record's
// header, the digest, the state, and its place in a page that is two thirds full.
const (
	sampledRows   = 1000
	imageOverhead = 40
)

// Estimate returns how many bytes the image of a row takes, by a sample of the table's first
// rows; what the job will write is taken to be as long as what is there.
func (s Set) Estimate(ctx context.Context, q lite.Querier, key lite.Key) (bytes int64, err error) {
	length := func(columns []string) string {
		terms := []string{"0"}
		for _, c := range columns {
			terms = append(terms, fmt.Sprintf("1 + coalesce(length(CAST(%s AS BLOB)), 0)", lite.Ident(c)))
		}
		return strings.Join(terms, " + ")
	}
	times := 2
	if s.Delete {
		times = 1
	}
	query := fmt.Sprintf("SELECT coalesce(CAST(avg(bytes) * 1.5 AS INTEGER), 0) FROM (SELECT %d + %s + %d * (%s) AS bytes FROM %s LIMIT %d)",
		imageOverhead, length(s.Key), times, length(s.Columns), key.From(), sampledRows)
	if err := q.QueryRowContext(ctx, query).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("estimate what images of %s take: %w", s.Table, err)
	}
	return bytes, nil
}
