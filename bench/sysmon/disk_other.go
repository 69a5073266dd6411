//go:build !linux && !darwin && !freebsd

package sysmon

// FreeBytes cannot be told here without another dependency.
func FreeBytes(string) int64 { return -1 }
