package archive

import (
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Chunk is a range of rows as they were when those to be moved were copied.
type Chunk struct {
	*rowfunc.Copies // of rows of the family's table, with digests of all that goes with each
	End             lite.Pos

	after  lite.Pos
	places map[string]int // of each row, by its position
	moved  [][]int        // of each member: how many rows were copied that go with the rows up to a place
}

func newChunk(rows Rows, end lite.Pos) *Chunk {
	return &Chunk{Copies: rowfunc.OpenCopies(), End: end, after: rows.After, places: map[string]int{}, moved: make([][]int, 1+len(rows.Children))}
}

// place returns where a position is in the chunk, false if it is not that of one of its rows.
func (c *Chunk) place(p lite.Pos) (int, bool) {
	switch p.Encode() {
	case c.after.Encode():
		return 0, true
	case c.End.Encode():
		return len(c.moved[0]), true
	}
	at, ok := c.places[p.Encode()]
	return at, ok
}

// between returns how many rows of a member were copied that go with the rows after one place and up to another.
func (c *Chunk) between(member, from, to int) int { return c.upto(member, to) - c.upto(member, from) }

func (c *Chunk) upto(member, place int) int {
	if place == 0 {
		return 0
	}
	return c.moved[member][place-1]
}

// lay lays out the chunk: all rows of its range, and those that are moved.
func (c *Chunk) lay(all, moved []row) {
	with := map[string][]int{} // by the key of the row with which they go: the members
	for _, r := range moved {
		key := r.root.Encode()
		with[key] = append(with[key], r.of)
	}
	counts := make([]int, len(c.moved))
	for i, r := range all {
		key := r.key.Encode()
		for _, member := range with[key] {
			counts[member]++
		}
		c.places[key] = i + 1
		for member, n := range counts {
			c.moved[member] = append(c.moved[member], n)
		}
	}
}
