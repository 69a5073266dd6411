package gather

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// maxEmbedded is the size of the largest embedded file that is checked.
const maxEmbedded = 4 << 20

// embedded returns the files that patterns of go:embed match, except those that are checked
// anyway.
func (t *Tree) embedded(from string) func(string, []string) ([]preflight.Source, error) {
	return func(path string, patterns []string) (list []preflight.Source, err error) {
		name := filepath.FromSlash(path)
		if !filepath.IsAbs(name) {
			name = filepath.Join(from, name)
		}
		for _, pattern := range patterns {
			pattern = strings.TrimPrefix(strings.Trim(pattern, "\"`"), "all:")
			found, err := filepath.Glob(filepath.Join(filepath.Dir(name), filepath.FromSlash(pattern)))
			if err != nil {
				continue // the compiler rejects the pattern, too
			}
			for _, one := range found {
				if list, err = t.below(list, from, one); err != nil {
					return nil, err
				}
			}
		}
		return list, nil
	}
}

// below adds a file, or the files in a folder.
func (t *Tree) below(list []preflight.Source, from, name string) ([]preflight.Source, error) {
	err := filepath.WalkDir(name, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !entry.Type().IsRegular() || preflight.Judges(name) || t.excludes(name) || asset(name) {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Size() > maxEmbedded {
			return err
		}
		text, err := os.ReadFile(name)
		list = append(list, preflight.Source{Path: named(from, name), Root: t.rooted(name), Text: text})
		return err
	})
	return list, err
}

// asset reports whether a file's name shows that it is not SQL.
func asset(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".html", ".htm", ".css", ".js", ".mjs", ".ts", ".map", ".json", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".webp", ".woff", ".woff2",
		".ttf", ".md", ".yaml", ".yml", ".toml", ".xml", ".wasm", ".gz", ".zip", ".pem", ".db", ".sqlite", ".sqlite3", ".csv", ".mp3", ".webmanifest":
		return true
	}
	return false
}
