//go:build !linux

package filelock_test

import "os/exec"

func nobody(*exec.Cmd) {}
