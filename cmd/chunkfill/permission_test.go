//go:build linux

package main

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// What a user may not do is exit status 2 and one line that names the folder or the file.
// Root, who may everything, becomes somebody else for it; anybody else takes it from himself.
// Planted and caught: SQLite's number in place of words.
func TestWhoMayNotWrite(t *testing.T) {
	become, may := &syscall.SysProcAttr{}, ownerMay
	if os.Geteuid() == 0 {
		become.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		may = func(mode os.FileMode) os.FileMode { return mode }
	}
	for how, c := range map[string]struct {
		folder, file os.FileMode // what others may
		want         string
	}{
		"the folder": {0o755, 0o666, "permission denied: this user may not write to the folder FOLDER, where"},
		"both":       {0o755, 0o644, "permission denied: this user may not write to the folder FOLDER, where"},
		"the file":   {0o777, 0o644, "the database is read-only: FOLDER/app.db"},
		"to read it": {0o777, 0o600, "open the database: open FOLDER/app.db: permission denied"},
	} {
		t.Run(how, func(t *testing.T) {
			folder, program := reachable(t)
			path := filepath.Join(folder, "app.db")
			db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(wal)")
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
			if err := errors.Join(err, db.Close(), os.Chmod(path, may(c.file)), os.Chmod(folder, may(c.folder))); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(folder, 0o777) }) // for who removes it
			for _, args := range [][]string{{"run", "--db", path, "--name", "j", "--table", "t", "--set", "n = n + 1"}, {"pause", "--db", path, "j"}} {
				cmd := exec.Command(program, args...)
				cmd.SysProcAttr = become
				var said bytes.Buffer
				cmd.Stderr = &said
				_ = cmd.Run()
				want := "chunkfill: " + strings.ReplaceAll(c.want, "FOLDER", folder)
				if cmd.ProcessState.ExitCode() != exit.Usage || !strings.HasPrefix(said.String(), want) || strings.Count(said.String(), "\n") != 1 {
					t.Errorf("%s: exit status %d, %q; want 2 and %s…", args[0], cmd.ProcessState.ExitCode(), said.String(), want)
				}
			}
		})
	}
}

// ownerMay is a mode in which the owner may what others may.
func ownerMay(mode os.FileMode) os.FileMode { return mode&^0o700 | mode&0o007<<6 }

// reachable is a folder that others get to, with a folder in it, and the program.
func reachable(t *testing.T) (folder, program string) {
	t.Helper()
	built, err := exec.LookPath("chunkfill")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(built)
	above := t.TempDir()
	folder, program = filepath.Join(above, "data"), filepath.Join(above, "chunkfill")
	err = errors.Join(err, os.Mkdir(folder, 0o777), os.WriteFile(program, binary, 0o755))
	for dir := above; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		err = errors.Join(err, os.Chmod(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder, program
}
