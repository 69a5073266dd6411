package dataset

import "math/bits"

// shuffle is a pseudo-random permutation of [0, n) that needs no memory: a small
// Feistel network over the next even power of two, walked until it lands inside.
type shuffle struct {
	n    uint64
	half uint // bits of one half
	keys [4]uint64
}

func newShuffle(n int, seed uint64) shuffle {
	s := shuffle{n: uint64(n), half: uint(bits.Len64(uint64(n))+1) / 2}
	for i := range s.keys {
		seed = mix(seed + uint64(i))
		s.keys[i] = seed
	}
	return s
}

// at returns where i goes.
func (s shuffle) at(i int) int {
	v := uint64(i)
	for {
		if v = s.round(v); v < s.n {
			return int(v)
		}
	}
}

func (s shuffle) round(v uint64) uint64 {
	mask := uint64(1)<<s.half - 1
	left, right := v>>s.half, v&mask
	for _, key := range s.keys {
		left, right = right, left^mix(right^key)&mask
	}
	return left<<s.half | right
}

// mix spreads every bit of v over the word (the finalizer of SplitMix64).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
