// Package gather collects what the gate checks: the files of a change, those of a folder,
// or files by name. Start with [Open].
package gather

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/diff"
)

// Tree is a folder with files: the root of a git repository or, outside one, the folder in
// which the command was started.
type Tree struct {
	Config preflight.Config

	dir  string // the folder that names are relative to
	root string
	git  bool
}

// Open returns the tree that contains dir.
func Open(ctx context.Context, dir string, config preflight.Config) (*Tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	t := &Tree{Config: config, dir: dir, root: dir}
	if top, err := git(ctx, dir, "rev-parse", "--show-toplevel"); err == nil {
		t.root, t.git = filepath.FromSlash(firstLine(top)), true
	}
	return t, nil
}

// All collects every file below the folders that is not excluded.
func (t *Tree) All(ctx context.Context, folders []string) (preflight.Input, error) {
	var names []string
	for _, folder := range folders {
		err := filepath.WalkDir(t.join(folder), func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == ".git" || t.excludes(name)):
				return filepath.SkipDir
			case entry.Type().IsRegular() && preflight.Judges(entry.Name()) && !t.excludes(name):
				names = append(names, t.short(name))
			}
			return ctx.Err()
		})
		if err != nil {
			return preflight.Input{}, fmt.Errorf("list the files of %s: %w", folder, err)
		}
	}
	if len(names) == 0 {
		return preflight.Input{}, fmt.Errorf("--all: below %s there is no .go or .sql file, apart from excluded ones", strings.Join(folders, ", "))
	}
	slices.Sort(names)
	in, err := t.Files(ctx, slices.Compact(names))
	in.Definitions = nil // all definitions are among the files
	return in, err
}

// Files collects exactly the named files, even if they are excluded.
func (t *Tree) Files(ctx context.Context, names []string) (preflight.Input, error) {
	in := t.input(ctx, t.dir)
	for _, name := range names {
		if ctx.Err() != nil {
			return in, ctx.Err()
		}
		if !preflight.Judges(name) {
			return in, fmt.Errorf("%s: only .go and .sql files (and .ddl, .dml and templates of .sql) can be checked; for a folder use --all %s", name, name)
		}
		text, err := os.ReadFile(t.join(name))
		if err != nil {
			return in, fmt.Errorf("open the file: %w", err)
		}
		in.Sources = append(in.Sources, preflight.Source{Path: filepath.ToSlash(name), Root: t.rooted(t.join(name)), Text: text})
	}
	return in, nil
}

// Base collects the lines that the working tree adds to its merge base with rev.
// Uncommitted changes are included, untracked files are not.
func (t *Tree) Base(ctx context.Context, rev string) (preflight.Input, error) {
	if !t.git {
		return preflight.Input{}, fmt.Errorf("--base: %s is not in a git repository", t.dir)
	}
	text, err := git(ctx, t.root, slices.Concat(diffCommand, []string{"--end-of-options", rev, "--"}, judged)...)
	if err != nil {
		return preflight.Input{}, fmt.Errorf("--base %s: %w; has it been fetched? (a shallow clone lacks it: use fetch-depth: 0)", rev, err)
	}
	return t.Diff(ctx, text)
}

// Diff collects the lines that a diff adds to the tree, to which it must have been applied.
func (t *Tree) Diff(ctx context.Context, text []byte) (preflight.Input, error) {
	in := t.input(ctx, t.root)
	in.Change = true
	changes, err := diff.Parse(text)
	if err != nil {
		return in, err
	}
	root, err := os.OpenRoot(t.root) // a diff may name any path, even outside the tree
	if err != nil {
		return in, fmt.Errorf("open the tree: %w", err)
	}
	defer root.Close()
	for _, c := range changes {
		if !preflight.Judges(c.Path) || t.Config.Excludes(c.Path) {
			continue
		}
		src, err := source(root, c)
		if err != nil {
			return in, err
		}
		in.Sources = append(in.Sources, src)
	}
	return in, nil
}

func (t *Tree) input(ctx context.Context, from string) preflight.Input {
	return preflight.Input{Config: t.Config, Siblings: t.siblings(from), Definitions: t.definitions(ctx), Embedded: t.embedded(from)}
}

// source reads a changed file and checks that it is the result of the diff.
func source(root *os.Root, c diff.Change) (preflight.Source, error) {
	src := preflight.Source{Path: c.Path, Added: c.Added}
	if c.New {
		src.Text = c.Text()
		return src, nil
	}
	text, err := root.ReadFile(filepath.FromSlash(c.Path))
	if err != nil {
		return src, fmt.Errorf("read a file that the diff changes: %w; run this in a tree that has the changes of the diff", err)
	}
	src.Text = text
	old, err := c.Before(text)
	if err == nil && c.Removes() {
		src.Old = old
	}
	return src, err
}

func (t *Tree) join(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(t.dir, name)
}

// short returns a name relative to the folder in which the command was started.
func (t *Tree) short(name string) string {
	if rel, err := filepath.Rel(t.dir, name); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return name
}

// excludes matches the path from the root, as the configuration does.
func (t *Tree) excludes(name string) bool {
	rel, err := filepath.Rel(t.root, name)
	return err == nil && rel != "." && t.Config.Excludes(filepath.ToSlash(rel))
}

// rooted returns the path from the root, which identifies a file however it is named.
func (t *Tree) rooted(name string) string {
	rel, err := filepath.Rel(t.root, name)
	if err != nil || !filepath.IsLocal(rel) {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(rel)
}

// named returns a file's name as it appears in findings relative to a folder.
func named(from, name string) string {
	if rel, err := filepath.Rel(from, name); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(name)
}

// siblings returns the other Go files of a file's package, without tests: they do not run
// at boot.
func (t *Tree) siblings(from string) func(string) ([]preflight.Source, error) {
	return func(path string) (list []preflight.Source, err error) {
		name := filepath.FromSlash(path)
		if !filepath.IsAbs(name) {
			name = filepath.Join(from, name)
		}
		folder := filepath.Dir(name)
		entries, err := os.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // a new file of a diff that is not applied here
		}
		for _, entry := range entries {
			other := filepath.Join(folder, entry.Name())
			if other == name || filepath.Ext(other) != ".go" || isTest(other) || !entry.Type().IsRegular() {
				continue
			}
			text, err := os.ReadFile(other)
			if err != nil {
				return nil, err
			}
			list = append(list, preflight.Source{Path: named(from, other), Text: text})
		}
		return list, err
	}
}
