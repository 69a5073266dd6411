package main

import (
	"bytes"
	"database/sql"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// TestReadmeCommands runs what README shows in its console block, one command
// after another on one database, and compares what they print. "…" in README
// stands for anything. Planted and caught: another count of changed rows, a flag
// that run does not have.
func TestReadmeCommands(t *testing.T) {
	_, rest, ok := strings.Cut(readme(t), "\n```console\n")
	block, _, closed := strings.Cut(rest, "\n```")
	if !ok || !closed {
		t.Fatal("README has no console block")
	}
	t.Chdir(t.TempDir())
	readmeDatabase(t)
	for shown := range strings.SplitSeq(strings.TrimPrefix(block, "$ "), "\n$ ") {
		command, want, _ := strings.Cut(shown+"\n", "\n")
		t.Run(command, func(t *testing.T) {
			args := splitArgs(t, command)
			if args[0] != "chunkfill" {
				t.Fatalf("README shows %q; only chunkfill commands are tested", command)
			}
			var stdout, stderr bytes.Buffer
			if code := execute(t.Context(), args[1:], &stdout, &stderr); code != exit.OK {
				t.Fatalf("exit status %d\n%s%s", code, &stdout, &stderr)
			}
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", "(?s:.*)") + "$"
			if !regexp.MustCompile(pattern).Match(stdout.Bytes()) {
				t.Errorf("README shows\n%s\nbut it prints\n%s", want, &stdout)
			}
		})
	}
}

// TestReadmeNamesEveryCommand also finds a row for a command that is gone.
func TestReadmeNamesEveryCommand(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "\n| command | does |\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	named := map[string]bool{}
	for row := range strings.Lines(table) {
		for _, match := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(strings.SplitN(row, "|", 3)[1], -1) {
			named[match[1]] = true
		}
	}
	for _, command := range rootCommand().Commands() {
		if !command.Hidden && !named[command.Name()] {
			t.Errorf("README's table of commands has no %s", command.Name())
		}
		delete(named, command.Name())
	}
	for name := range named {
		t.Errorf("README's table has %s, which is no command", name)
	}
}

// TestReadmeListsEveryStatus: the table of exit statuses is that of the code. Planted and
// caught: a status of the code that README does not have.
func TestReadmeListsEveryStatus(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "\n| exit status | means |\n|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	var listed, want []string
	for row := range strings.Lines(table) {
		listed = append(listed, strings.TrimSpace(strings.SplitN(row, "|", 3)[1]))
	}
	for _, m := range exit.Meanings {
		want = append(want, strconv.Itoa(m.Status))
	}
	if !slices.Equal(listed, want) {
		t.Errorf("README lists the exit statuses %v, the command has %v", listed, want)
	}
}

// TestHelpNamesSpecialStatuses: a command of which README says what a status means has the
// statuses in its help, too. Planted and caught: a help without them.
func TestHelpNamesSpecialStatuses(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "\n| exit status | means |\n|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	checked := 0
	for _, match := range regexp.MustCompile("`([a-z ]+?)( --[a-z-]+)*`").FindAllStringSubmatch(table, -1) {
		command, _, err := rootCommand().Find(strings.Fields(match[1]))
		if err != nil || !command.HasParent() {
			continue // no command, such as a flag
		}
		checked++
		if !strings.Contains(strings.ToLower(strings.Join(strings.Fields(command.Long), " ")), "exit status") {
			t.Errorf("the help of %s has no exit statuses, README has some", command.CommandPath())
		}
	}
	if checked < 3 {
		t.Errorf("%d commands found in README's table", checked)
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readmeDatabase is the app.db of README: 1,000 users, a quarter of them in
// capitals, and one whose address in small letters is taken.
func readmeDatabase(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:app.db?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE)`,
		`WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000)
			INSERT INTO users SELECT i, CASE i % 4 WHEN 0 THEN 'User' ELSE 'user' END || i || '@example.org' FROM c`,
		`INSERT INTO users VALUES (1001, 'USER1@example.org')`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// splitArgs splits a command line at spaces outside single quotes, which is all
// of the shell that README uses.
func splitArgs(t *testing.T, command string) (args []string) {
	t.Helper()
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}
