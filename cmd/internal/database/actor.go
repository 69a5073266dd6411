package database

import (
	"fmt"
	"os"
	"os/user"
	"strings"
)

// ActorVariable names whoever uses the command, in the audit trail.
const ActorVariable = "CHUNKFILL_ACTOR"

// actor is who uses the command: a person where that is known, such as
// "ada@web-3, pid 4711".
func actor() string {
	if name := strings.TrimSpace(os.Getenv(ActorVariable)); name != "" {
		return name
	}

	name := fmt.Sprintf("uid %d", os.Getuid()) // a container may have no names
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s@%s, pid %d", name, host, os.Getpid())
}
