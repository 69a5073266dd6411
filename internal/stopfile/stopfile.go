// Package stopfile looks for the file that stops all jobs of a database for as long as it
// stands: what is left where the database itself cannot be written, since somebody keeps it
// locked or its disk is full.
package stopfile

import (
	"io"
	"os"
	"strings"
	"time"
)

// suffix makes the name of the stop file from that of its database.
const suffix = "-chunkfill-stop"

// Name is the stop file of a database: in its folder, as the write-ahead log is.
func Name(database string) string { return database + suffix }

// lookEvery is how often the file is looked for at most: no more than a wait of a job looks
// up, and hardly more than a batch takes.
const lookEvery = 50 * time.Millisecond

// longestReason is as much of the first line as is shown, in bytes.
const longestReason = 200

// Watch looks for the stop file of one database. It belongs to one goroutine.
type Watch struct {
	name   string // "" for a database in memory, which can have none
	looked time.Time
	why    string
	stands bool
}

// NewWatch returns a watch for a database file, "" for one in memory.
func NewWatch(database string) Watch {
	if database == "" {
		return Watch{}
	}
	return Watch{name: Name(database)}
}

// Stands reports whether the stop file is there, and why, for people: its name and its first
// line. It looks every 50 ms at most.
func (w *Watch) Stands() (why string, stands bool) {
	if w.name == "" {
		return "", false
	}
	if now := time.Now(); w.looked.IsZero() || now.Sub(w.looked) >= lookEvery {
		w.looked = now
		w.why, w.stands = look(w.name)
	}
	return w.why, w.stands
}

// Look is Stands for one look.
func Look(database string) (why string, stands bool) {
	return look(Name(database))
}

func look(name string) (why string, stands bool) {
	info, err := os.Stat(name)
	if err != nil {
		return "", false
	}
	why = name
	if info.Mode().IsRegular() { // to open a pipe could take for ever
		if line := firstLine(name); line != "" {
			why += ": " + line
		}
	}
	return why, true
}

// firstLine is the reason that somebody has written into the file; "" if there is none, or
// it cannot be read.
func firstLine(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()                        // it was only read
	head, _ := io.ReadAll(io.LimitReader(f, longestReason)) // what there is of it will do
	line, _, _ := strings.Cut(strings.TrimSpace(string(head)), "\n")
	return strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(line, ""), "\x00", ""))
}
