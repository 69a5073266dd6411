package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
)

// master generates the table of a configuration, or finds it from an earlier run. Its name
// contains everything it depends on.
func master(ctx context.Context, dir string, cfg dataset.Config) (path string, err error) {
	path = filepath.Join(dir, fmt.Sprintf("chunkfill-bench-v1-%s-%d-%d.db", cfg.Shape, cfg.Rows, cfg.Seed))
	switch finished, err := isFinished(ctx, path); {
	case err != nil:
		return "", err
	case finished:
		return path, nil
	}
	remove(path)
	_, err = dataset.Generate(ctx, path, cfg)
	return path, err
}

// isFinished reports whether the file was generated completely: WAL mode is set last.
func isFinished(ctx context.Context, path string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	db, err := load.Open(path)
	if err != nil {
		return false, err
	}
	defer db.Close()
	var mode string
	err = db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode)
	return err == nil && mode == "wal", ctx.Err()
}

// freshCopy copies a database where there is room for a trial with it. No connection to
// either may be open in this process.
func freshCopy(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if free := sysmon.FreeBytes(to); free >= 0 && free < room(info.Size()) {
		return fmt.Errorf("copy %s: %d MB are free, %d needed: %w", from, free>>20, room(info.Size())>>20, ErrNoRoom)
	}

	remove(to)
	return dataset.Copy(from, to)
}

// ErrNoRoom is returned if the disk has no room for the copies. Nothing was written. Free
// some space or choose another Dir.
var ErrNoRoom = errors.New("not enough free space")

// room returns what a trial may need: the copy, and a write-ahead log to which one UPDATE
// writes nearly every page once.
func room(size int64) int64 { return 2*size + 256<<20 }

// remove removes a database and all files next to it.
func remove(path string) {
	os.Remove(path)
	beside, _ := filepath.Glob(path + "-*") // the pattern is ours
	for _, name := range beside {
		os.Remove(name)
	}
}
