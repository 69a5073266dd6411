//go:build !linux

package system

import "errors"

func locksOf(string) ([]Lock, bool, error) { return nil, false, errors.ErrUnsupported }

func nameOf(int) string { return "" }
