package engine

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// A fingerprint is a digest of all that makes a job what it is, and says by which rule
// it was made: "2:DEFINITION.SHAPE". The definition is what the host's code says, the
// shape is the key and the declarations of the columns that the job names. An unrelated
// ALTER TABLE changes neither. Those of rule 1 have no number.
const rule2 = "2:"

// identity is the job's fingerprint by the current rule.
func (p plan) identity() string { return rule2 + p.definition() + "." + p.shape() }

// plain is the job as it is defined, whatever the driver makes it take to run it.
func (r rewrite) plain() jobs.Spec {
	s := r.spec
	s.Set = slices.Clone(s.Set)
	for i := range s.Set {
		s.Set[i].Expr = rowfunc.Plain(s.Set[i].Expr)
	}
	return s
}

func (p plan) definition() string {
	if p.program != nil {
		return digest("program", p.program.definition, p.program.list())
	}
	s := p.plain()
	args := make([]string, len(s.Args))
	for i, a := range s.Args {
		args[i] = argument(a)
	}
	parts := []any{s.Kind, lite.FoldName(s.Table), s.Set, s.Read, s.Write, s.Where, args, s.Todo, s.Version}
	if s.KeepBefore { // a job without it is what it was before there was such a thing
		parts = append(parts, "keep before")
	}
	return digest(parts...)
}

// argument is a value that SQLite stores, with its type: 1 and '1' are two.
func argument(a any) string {
	switch a := a.(type) {
	case sql.NamedArg:
		return ":" + a.Name + " " + argument(a.Value)
	case time.Time:
		return "time " + a.Format(time.RFC3339Nano)
	default:
		return fmt.Sprintf("%T %[1]v", a)
	}
}

func (r rewrite) shape() string {
	names := map[string]bool{}
	for _, fragment := range r.fragments() {
		for name := range lite.Names(rowfunc.Plain(fragment)) {
			names[name] = true
		}
	}
	for _, list := range [][]string{r.spec.Writes(), r.spec.Read, r.table.Key.Names()} {
		for _, name := range list {
			names[lite.FoldName(name)] = true
		}
	}
	declared := map[string]string{}
	for _, c := range r.table.Columns {
		if name := lite.FoldName(c.Name); names[name] {
			declared[name] = c.Decl
		}
	}
	return digest(r.table.Key.Columns, declared)
}

func digest(parts ...any) string {
	text, _ := json.Marshal(parts) // strings, and structs and maps of them, always encode
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// identity1 is the fingerprint by rule 1, for jobs begun under it. It must stay as it
// is. A column counted as named whose name was part of any word.
func (p plan) identity1() string {
	named := map[string]string{}
	s := p.plain()
	text := strings.ToLower(fmt.Sprint(s.Set, s.Read, s.Write, s.Where, s.Todo))
	for _, c := range p.table.Columns {
		if strings.Contains(text, strings.ToLower(c.Name)) {
			named[c.Name] = c.Decl
		}
	}
	args := make([]string, len(p.given))
	for i, a := range p.given {
		args[i] = fmt.Sprint(a)
	}
	encoded, _ := json.Marshal([]any{s.Kind, s.Table, p.table.Key.Columns, named, s.Set, s.Read, s.Write, s.Where, args, s.Todo, s.Version})
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}

// fits reports whether the table is still the one that the job, or its step, began with.
func (p plan) fits() bool {
	if p.program != nil {
		return p.shape() == p.pin
	}
	return p.matches(p.fingerprint)
}

// matches reports whether a fingerprint is that of the job, by the rule it was made by.
func (p plan) matches(fingerprint string) bool {
	if strings.HasPrefix(fingerprint, rule2) {
		return fingerprint == p.identity()
	}
	return !p.spec.KeepBefore && fingerprint == p.identity1() // it knew nothing of images
}

// recognize takes the key by which the job was begun: the table may have got a better
// one since.
func (p *plan) recognize(fingerprint string) {
	for _, key := range p.table.Keys {
		q := *p
		q.table.Key = key
		if q.matches(fingerprint) {
			*p = q
			p.fingerprint = fingerprint
			return
		}
	}
}

// sameDefinition reports whether the host's code still says what it said when the job
// was begun, whatever has become of the table. Rule 1 tells no more than the text.
func (p plan) sameDefinition(begun checkpoint.Checkpoint) bool {
	if rest, ok := strings.CutPrefix(begun.Fingerprint, rule2); ok {
		definition, _, _ := strings.Cut(rest, ".")
		return definition == p.definition()
	}
	return begun.Definition == p.plain().String()
}

// conflict says that two jobs have one name, and what each is.
func conflict(name string, one, other jobs.Spec) error {
	return fmt.Errorf("%w: %s is running as %q and was started as %q; give one of them another name",
		ErrJobChanged, name, one, other)
}
