// Package diff parses the output of git diff: which lines of which files are new, and what
// was there before. Call [Parse].
package diff

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// ErrFormat is returned for text that is not a diff, or for a diff that does not fit the
// files. Pass the output of `git diff`, in a tree that has its changes.
var ErrFormat = errors.New("not a usable diff")

// Change is a file that the diff adds or changes. Links and submodules are left out.
type Change struct {
	Path   string // on the new side, with slashes
	New    bool   // the diff contains all of its text
	Binary bool   // the diff does not show its lines
	added  map[int]bool
	parts  []*gitdiff.TextFragment
}

// Parse parses a diff. An empty one has no changes.
func Parse(text []byte) ([]Change, error) {
	text = unifyLines(text)
	if err := checkKind(text); err != nil {
		return nil, err
	}
	files, _, err := gitdiff.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(files) == 0 && len(bytes.TrimSpace(text)) > 0 {
		return nil, fmt.Errorf("%w: it names no file; pass the output of `git diff`", ErrFormat)
	}
	var changes []Change
	for _, f := range files {
		if !f.IsDelete && regular(f) {
			changes = append(changes, newChange(f))
		}
	}
	return changes, nil
}

// unifyLines undoes what a pipe through Windows does to git's own lines. If only the files
// have such line endings, they are left as they are.
func unifyLines(text []byte) []byte {
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("diff ")) || bytes.HasPrefix(line, []byte("--- ")) {
			if bytes.HasSuffix(line, []byte("\r\n")) {
				return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
			}
			break
		}
	}
	return text
}

// checkKind refuses what the parser would silently skip.
func checkKind(text []byte) error {
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("diff --cc ")) || bytes.HasPrefix(line, []byte("diff --combined ")) {
			return fmt.Errorf("%w: it is the combined diff of a merge; pass the output of `git diff BASE...HEAD`", ErrFormat)
		}
	}
	return nil
}

const fileType = 0o170000

// regular reports whether a change is of a regular file, not a link or submodule. The mode
// is zero if a diff does not say.
func regular(f *gitdiff.File) bool {
	kind := f.NewMode & fileType
	return f.NewName != "" && (kind == 0 || kind == 0o100000)
}

func newChange(f *gitdiff.File) Change {
	c := Change{Path: f.NewName, New: f.IsNew && !f.IsBinary, Binary: f.IsBinary, added: map[int]bool{}, parts: f.TextFragments}
	for _, part := range f.TextFragments {
		line := int(part.NewPosition)
		for _, l := range part.Lines {
			if l.Op == gitdiff.OpAdd {
				c.added[line] = true
			}
			if l.New() {
				line++
			}
		}
	}
	return c
}

// Added reports whether a line of the new side, from 1, was added. In a binary file any
// line may be.
func (c Change) Added(line int) bool { return c.Binary || c.added[line] }

// Text returns the text of a new file.
func (c Change) Text() []byte {
	var text strings.Builder
	for _, part := range c.parts {
		for _, l := range part.Lines {
			text.WriteString(l.Line)
		}
	}
	return []byte(text.String())
}

// Removes reports whether the change removes lines.
func (c Change) Removes() bool {
	return slices.ContainsFunc(c.parts, func(p *gitdiff.TextFragment) bool { return p.LinesDeleted > 0 })
}

// Before returns the old side of a changed file whose new side is text. It returns
// ErrFormat if text is not the result of the diff.
func (c Change) Before(text []byte) ([]byte, error) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	var old [][]byte
	at := 0
	for _, part := range c.parts {
		start := int(part.NewPosition) - 1
		if part.NewLines == 0 {
			start++ // git names the line before the removed ones
		}
		if start < at || start > len(lines) {
			return nil, c.mismatch(start + 1)
		}
		old = append(old, lines[at:start]...)
		at = start
		for _, l := range part.Lines {
			if l.New() {
				if at >= len(lines) || !sameLine(lines[at], l.Line) {
					return nil, c.mismatch(at + 1)
				}
				at++
			}
			if l.Old() {
				old = append(old, []byte(l.Line))
			}
		}
	}
	return bytes.Join(append(old, lines[at:]...), nil), nil
}

func (c Change) mismatch(line int) error {
	return fmt.Errorf("%w: line %d of %s differs from the diff; run this in a tree that has the changes of the diff", ErrFormat, line, c.Path)
}

// sameLine ignores line endings, which a checkout may convert.
func sameLine(a []byte, b string) bool {
	return string(bytes.TrimRight(a, "\r\n")) == strings.TrimRight(b, "\r\n")
}
