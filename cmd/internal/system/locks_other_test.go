//go:build !linux

package system_test

import "os"

func lockAndWait(string) { os.Exit(0) }
