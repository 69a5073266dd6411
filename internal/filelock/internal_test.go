package filelock

import "testing"

// Where a lock lies is part of the contract between versions: two that disagree on it
// are two owners.
func TestAt(t *testing.T) {
	// SHA-256 of "abc" begins with ba7816bf8f01cfea: FIPS 180-2, B.1.
	if got, want := at("abc"), int64(1<<62+0xba7816bf8f01cfea>>26<<23); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	for _, name := range []string{"", "abc", "ABC", "m", "a name of some length"} {
		if from := at(name); from < base || from > 1<<63-width {
			t.Errorf("the lock of %q is at %x", name, from)
		}
	}
}
