// Package dsn names database files to the driver, and opens them.
package dsn

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver that is opened
)

// Open opens the file at path as the users of this project do, with one connection.
func Open(path string, settings ...string) (*sql.DB, error) {
	name, err := Of(path, settings...)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// Of returns the name of the file at path for the driver. The path may contain any
// character; settings are of the form "mode=rw". Without the form of a URI the driver would
// cut a path at a question mark and ignore the mode.
func Of(path string, settings ...string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("locate %s: %w", path, err)
	}
	name := (&url.URL{Path: filepath.ToSlash(abs)}).EscapedPath()
	return "file:" + strings.ReplaceAll(name, "?", "%3f") + "?" + strings.Join(settings, "&"), nil
}
