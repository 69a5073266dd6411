// Package dsn names database files to the driver.
package dsn

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Of names the file at path, which may hold any character, with settings such as
// "mode=rw". Without the form of a URI the driver would cut a path at a question
// mark and ignore the mode.
func Of(path string, settings ...string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("locate %s: %w", path, err)
	}
	name := (&url.URL{Path: filepath.ToSlash(abs)}).EscapedPath()
	return "file:" + strings.ReplaceAll(name, "?", "%3f") + "?" + strings.Join(settings, "&"), nil
}
