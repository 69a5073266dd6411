package filelock

// From bsd/sys/fcntl.h of XNU; golang.org/x/sys does not have them.
const (
	setLock = 90 // F_OFD_SETLK
	getLock = 92 // F_OFD_GETLK
)
