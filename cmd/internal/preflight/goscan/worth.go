package goscan

import "bytes"

// words lists words one of which occurs in every statement worth checking and in every
// annotation.
var words = [][]byte{[]byte("create"), []byte("alter"), []byte("update"), []byte("delete"), []byte("insert"),
	[]byte("replace"), []byte("reindex"), []byte("vacuum"), []byte("preflight")}

// starts marks the first letters of words.
var starts = func() (list [256]bool) {
	for _, w := range words {
		list[w[0]], list[w[0]-'a'+'A'] = true, true
	}
	return list
}()

// worth reports whether a file or string can matter; most cannot. A regular expression for
// the same took a third of the time. The letter before a word may belong to an escape, as
// in "\nUPDATE".
func worth(text []byte) bool {
	for i, b := range text {
		if starts[b] && begins(text[i:]) {
			return true
		}
	}
	return false
}

func begins(text []byte) bool {
	for _, w := range words {
		if len(text) >= len(w) && bytes.EqualFold(text[:len(w)], w) && (len(text) == len(w) || !letter(text[len(w)])) {
			return true
		}
	}
	return false
}

func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// runs reports whether a file calls something to execute SQL, whatever words it contains.
func runs(src []byte) bool {
	return bytes.Contains(src, []byte("Exec")) || bytes.Contains(src, []byte("Prepare")) || bytes.Contains(src, []byte("Query"))
}
