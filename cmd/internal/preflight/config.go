package preflight

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ConfigName is the name of the file that [FindConfig] looks for.
const ConfigName = ".chunkfill-preflight.toml"

// Config describes a project's conventions. The zero value is the default for all fields.
type Config struct {
	// Async lists functions and methods, as "Name" or "x.Name", that run their argument
	// outside the boot path, in addition to RunAsyncMigration.
	Async []string `toml:"async"`

	// Exclude lists patterns of paths to leave out. A pattern without a slash matches any
	// element of a path; one with a slash matches the path from the root, or a folder above
	// it. A list given here replaces the default. Defaults to *_test.go, testdata, vendor.
	Exclude []string `toml:"exclude"`

	// Keys lists keys in addition to those in CREATE TABLE: for each table its keys, each a
	// column or several joined by commas.
	Keys map[string][]string `toml:"keys"`

	// Dialect is one of Dialects. Defaults to the first.
	Dialect string `toml:"dialect"`

	// Disable lists codes of rules about statements (PF1xx) that need no decision.
	Disable []string `toml:"disable"`
}

// ErrConfig is returned for an invalid configuration. The message names the field to fix.
var ErrConfig = errors.New("invalid configuration")

var defaultExclude = []string{"*_test.go", "testdata", "vendor"}

// FindConfig looks for the configuration file in dir and the folders above it, up to the
// root of the git repository. It returns the file's path, or "" if there is none.
func FindConfig(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", ConfigName, err)
	}
	for {
		name := filepath.Join(dir, ConfigName)
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || filepath.Dir(dir) == dir {
			return "", nil
		}
		dir = filepath.Dir(dir)
	}
}

// ReadConfig reads a configuration file; for "" it returns the default configuration.
// Unknown fields are an error.
func ReadConfig(name string) (Config, error) {
	if name == "" {
		return Config{}, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	var c Config
	err = toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		field := strings.Join(unknown.Errors[0].Key(), ".")
		return Config{}, fmt.Errorf("%w: %s: unknown field %s; there are async, dialect, exclude, keys and disable", ErrConfig, name, field)
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		return Config{}, fmt.Errorf("%w: %s: line %d: %s: %w", ErrConfig, name, line, strings.Join(wrong.Key(), "."), err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w: %s: %w", ErrConfig, name, err)
	}
	if err := c.validate(); err != nil {
		return Config{}, fmt.Errorf("%w: %s: %w", ErrConfig, name, err)
	}
	return c, nil
}

func (c Config) validate() error {
	if c.Dialect != "" && !slices.Contains(Dialects, c.Dialect) {
		return fmt.Errorf("dialect: %q is not one of %s: this gate checks only SQLite", c.Dialect, strings.Join(Dialects, ", "))
	}
	for _, name := range c.Async {
		if strings.Trim(name, " ().") != name || name == "" {
			return fmt.Errorf("async: %q is not a function name; write it without parentheses", name)
		}
	}
	for _, pattern := range c.Exclude {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return fmt.Errorf("exclude: %q is not a valid pattern", pattern)
		}
	}
	for _, code := range c.Disable {
		if rule, ok := FindRule(code); !ok || !rule.Statement() {
			return fmt.Errorf("disable: %q is not a rule about statements; `chunkfill preflight rules` lists them", code)
		}
	}
	return nil
}

func (c Config) async() []string { return append([]string{"RunAsyncMigration"}, c.Async...) }

func (c Config) disabled(code string) bool {
	return slices.ContainsFunc(c.Disable, func(d string) bool {
		r, _ := FindRule(d)
		return r.Code == code
	})
}

// Excludes reports whether a path, with slashes and relative to the root, is left out.
func (c Config) Excludes(name string) bool {
	patterns := c.Exclude
	if patterns == nil {
		patterns = defaultExclude
	}
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(strings.Trim(p, "/"), name) })
}

func fits(pattern, name string) bool {
	if strings.Contains(pattern, "/") {
		for ; name != "."; name = path.Dir(name) {
			if ok, _ := path.Match(pattern, name); ok {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(strings.Split(name, "/"), func(element string) bool {
		ok, _ := path.Match(pattern, element)
		return ok
	})
}

// templated matches the names of templates from which a program makes SQL.
var templated = regexp.MustCompile(`(?i)\.sql\.(?:tmpl|gotmpl|tpl|template|j2|jinja|erb|in|mustache)$`)

// Judges reports whether files of that name are checked at all.
func Judges(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".go" || ext == ".sql" || ext == ".ddl" || ext == ".dml" || templated.MatchString(name)
}
