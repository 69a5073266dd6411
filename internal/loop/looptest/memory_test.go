package looptest_test

import (
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
)

// memory is the database in memory as the suite needs it.
type memory struct{ db *looptest.DB }

func (m memory) Open(testing.TB) loop.Database            { return m.db.Open() }
func (m memory) State(testing.TB) looptest.State          { return m.db.State() }
func (m memory) Ask(_ testing.TB, r chunkfill.Request)    { m.db.Ask(r) }
func (m memory) AskAll(_ testing.TB, r chunkfill.Request) { m.db.AskAll(r) }
func (m memory) Stop(_ testing.TB, on bool) {
	m.db.SetStop(map[bool]*string{true: new(string)}[on])
}
func (m memory) Insert(_ testing.TB, key int64)              { m.db.Insert(looptest.Row{Key: key}) }
func (m memory) Delete(_ testing.TB, keys ...int64)          { m.db.Delete(keys...) }
func (m memory) Spoil(_ testing.TB, bad bool, keys ...int64) { m.db.Spoil(bad, keys...) }
func (m memory) Inject(_ testing.TB, f looptest.Fault) (func(), bool) {
	m.db.Inject(f, -1)
	return m.db.Lift, true
}

// TestMemory: the database on which the loop is tested does what one must.
func TestMemory(t *testing.T) {
	for name, reach := range map[string]int{"all": 0, "ahead": 3} {
		t.Run(name, func(t *testing.T) {
			looptest.Test(t, func(_ testing.TB, keys ...int64) looptest.Fixture {
				db := looptest.New(keys...)
				db.Reach = reach
				return memory{db}
			})
		})
	}
}

// TestMemorySteps: it also does so where the job changes the schema.
func TestMemorySteps(t *testing.T) {
	once := func(name string) chunkfill.Step { return chunkfill.Step{Name: name, Kind: chunkfill.Once} }
	walk, verify := chunkfill.Step{Name: "fill", Kind: chunkfill.Walk}, chunkfill.Step{Name: "verify", Kind: chunkfill.Verify, Of: "fill"}
	for name, steps := range map[string]loop.Steps{
		"two before": {once("table"), once("triggers"), walk, verify},
		"one after":  {once("table"), walk, verify, once("index")},
	} {
		t.Run(name, func(t *testing.T) {
			looptest.TestSteps(t, func(_ testing.TB, keys ...int64) looptest.Fixture {
				db := looptest.New(keys...)
				db.Steps = steps
				return memory{db}
			})
		})
	}
}
