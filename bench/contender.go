package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

// Contender is one way to rewrite the table.
type Contender struct {
	Name    string
	About   string
	Default bool // part of a run that names no contenders
	// Fills says that the contender does the whole work, which is then checked row by row.
	Fills bool

	fits func(shape dataset.Shape, l Load) bool // nil: always
	once func(shape dataset.Shape, l Load) bool // where one round is enough; nil: nowhere
	run  func(ctx context.Context, r *rig) error
}

// The names of the contenders that others are measured against.
const (
	Update             = "update"
	UpdateShell        = "update-shell"
	RowLoop            = "row-loop"
	Keyset             = "keyset"
	ChunkUpdate        = "chunkfill-update"
	ChunkVerified      = "chunkfill-verified"
	ChunkUpdateWAL512  = "chunkfill-update-wal512"
	ChunkUpdateGauge   = "chunkfill-update-gauge"
	ChunkTransform     = "chunkfill-transform"
	ChunkSlowUpdate    = "chunkfill-slow-update"
	ChunkSlowTransform = "chunkfill-slow-transform"
	CreateIndex        = "create-index"
)

// Contenders returns all contenders, in the order in which they are run and shown.
func Contenders() []Contender {
	return []Contender{
		{Name: Update, About: "one UPDATE with a Go function, autocommit",
			Default: true, Fills: true, once: loaded, run: runUpdate},
		{Name: UpdateShell, About: "one UPDATE in the sqlite3 shell; a plain SQL expression of about as many bytes, not the same work",
			Default: true, fits: unloaded, run: runShell},
		{Name: RowLoop, About: "SELECT … LIMIT 1000 without a cursor, an autocommit UPDATE a row, 50 ms sleeps; bounded in time",
			Default: true, Fills: true, once: always, run: runRowLoop},
		{Name: Keyset, About: "fixed keyset batches of 1000 rows, fixed pauses of 10 ms",
			Default: true, Fills: true, once: loadedOr(dataset.Scattered), run: runKeyset},
		{Name: ChunkUpdate, About: "chunkfill, jobs.Update with the same Go function",
			Default: true, Fills: true, run: chunkfill(pathUpdate, tuning{})},
		{Name: ChunkVerified, About: "the same, and a count of what is left at the end",
			Fills: true, run: chunkfill(pathVerified, tuning{})},
		{Name: ChunkUpdateWAL512, About: "chunkfill-update, granted a write-ahead log of 512 MB",
			Default: true, Fills: true, fits: unloadedAnd(dataset.Scattered), run: chunkfill(pathUpdate, tuning{walBudget: 512 << 20})},
		{Name: ChunkUpdateGauge, About: "chunkfill-update, told by the host how many live writes wait",
			Fills: true, fits: loadedHere, run: chunkfill(pathUpdate, tuning{gauge: true})},
		{Name: ChunkTransform, About: "chunkfill, jobs.Transform with that Go function",
			Default: true, Fills: true, once: loaded, run: chunkfill(pathTransform, tuning{})},
		{Name: ChunkSlowUpdate, About: "chunkfill, jobs.Update with a function of 5 µs a row, inside the writer",
			Default: true, Fills: true, fits: unloadedAnd(dataset.Clustered), run: chunkfill(slowUpdate, tuning{})},
		{Name: ChunkSlowTransform, About: "chunkfill, jobs.Transform with a function of 5 µs a row, beside the writer",
			Default: true, Fills: true, fits: unloadedAnd(dataset.Clustered), run: chunkfill(slowTransform, tuning{})},
		{Name: CreateIndex, About: "CREATE INDEX on two columns",
			Default: true, once: loaded, run: runCreateIndex},
	}
}

func contenderNamed(name string) (Contender, error) {
	var names []string
	for _, c := range Contenders() {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Contender{}, fmt.Errorf("no contender %q; there are %s", name, strings.Join(names, ", "))
}

func (c Contender) suits(shape dataset.Shape, l Load) bool {
	return c.fits == nil || c.fits(shape, l)
}

// rounds returns how many of n rounds the contender takes part in.
func (c Contender) rounds(n int, shape dataset.Shape, l Load) int {
	if c.once != nil && c.once(shape, l) {
		return min(1, n)
	}
	return n
}

func always(dataset.Shape, Load) bool { return true }

func loaded(_ dataset.Shape, l Load) bool { return l != NoLoad }

func loadedOr(or dataset.Shape) func(dataset.Shape, Load) bool {
	return func(shape dataset.Shape, l Load) bool { return l != NoLoad || shape == or }
}

func unloaded(_ dataset.Shape, l Load) bool { return l == NoLoad }

func unloadedAnd(want dataset.Shape) func(dataset.Shape, Load) bool {
	return func(shape dataset.Shape, l Load) bool { return l == NoLoad && shape == want }
}

func loadedHere(_ dataset.Shape, l Load) bool { return l != NoLoad && !l.Process }

// ErrNoShell is returned if the sqlite3 shell, a contender, is not installed. Install it or
// leave it out.
var ErrNoShell = errors.New("the sqlite3 shell is not installed")

// available returns the reason why a contender cannot run on this machine, or nil.
func (c Contender) available() error {
	if c.Name != UpdateShell {
		return nil
	}
	if _, err := exec.LookPath("sqlite3"); err != nil {
		return ErrNoShell
	}
	return nil
}
