package torture_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// event is a system call of a program on one of its files.
type event struct {
	file string
	call string // pwrite64, ftruncate, unlink, write; "sync" when one has returned
	at   int    // offset, or the size to truncate to
	data []byte
	upTo int // of a sync: it covers what was called before this event
}

// A line of strace: process, call, file descriptor with its path or the path
// alone, the data, and numbers. All text is in hexadecimal.
var (
	straceCall    = regexp.MustCompile(`^(\d+) +(\w+)\((?:\d+<([^>]*)>|"([^"]*)")(?:, "([^"]*)")?(?:, (\d+))?(?:, (\d+))?`)
	straceResumed = regexp.MustCompile(`^(\d+) +<\.\.\. (?:fsync|fdatasync) resumed>`)
)

// observe runs a program and returns what it did to these files, in order.
func observe(t *testing.T, cmd *exec.Cmd, files ...string) (events []event) {
	t.Helper()
	tool, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace on this machine")
	}
	list := files[0] + ".strace"
	args := []string{"-f", "-qq", "-y", "-xx", "-s", "100000", "-o", list, "-e", "trace=pwrite64,ftruncate,unlink,write,fsync,fdatasync"}
	for _, file := range files {
		args = append(args, "-P", file)
	}
	traced := exec.CommandContext(t.Context(), tool, append(append(args, "--", cmd.Path), cmd.Args[1:]...)...)
	traced.Env = cmd.Env
	if out, err := traced.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	began := map[string]event{} // syncs under way, by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if back := straceResumed.FindStringSubmatch(line); back != nil {
			events = append(events, began[back[1]])
			continue
		}
		thread, e, ok := parseCall(t, line)
		if !ok {
			continue
		}
		e.upTo = len(events)
		if e.call == "sync" && strings.HasSuffix(line, "<unfinished ...>") {
			began[thread] = e
			continue
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

func parseCall(t *testing.T, line string) (thread string, e event, ok bool) {
	t.Helper()
	part := straceCall.FindStringSubmatch(line)
	if part == nil {
		return "", e, false // a signal, the end of a call that was seen already
	}
	e = event{call: part[2], file: string(unhex(t, part[3]+part[4])), data: unhex(t, part[5])}
	var numbers []int
	for _, text := range part[6:] {
		if n, err := strconv.Atoi(text); err == nil {
			numbers = append(numbers, n)
		}
	}
	switch e.call {
	case "pwrite64":
		if len(numbers) != 2 || numbers[0] != len(e.data) {
			t.Fatalf("cannot read %.200s", line)
		}
		e.at = numbers[1]
	case "ftruncate":
		e.at = numbers[0]
	case "fsync", "fdatasync":
		e.call = "sync"
	}
	return part[1], e, true
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// disk is a model of one: what has been synced is there for good; of what came
// after it, each write, or a part of it, may or may not be.
type disk struct {
	durable map[string][]byte // nil: no such file
	pending map[string][]pending
	acked   []int // live rows whose commit the program was told of
}

type pending struct {
	event
	index int
}

// do lets an event happen.
func (d *disk) do(index int, e event) {
	if e.call != "sync" {
		d.pending[e.file] = append(d.pending[e.file], pending{e, index})
		return
	}
	left := d.pending[e.file][:0]
	for _, p := range d.pending[e.file] {
		if p.index < e.upTo {
			d.durable[e.file] = p.happen(d.durable[e.file])
		} else {
			left = append(left, p)
		}
	}
	d.pending[e.file] = left
}

// happen returns the file with the event having reached the disk.
func (e event) happen(file []byte) []byte {
	switch e.call {
	case "unlink":
		return nil
	case "ftruncate":
		return append(file, make([]byte, max(0, e.at-len(file)))...)[:e.at]
	}
	if grow := e.at + len(e.data) - len(file); grow > 0 {
		file = append(file, make([]byte, grow)...)
	}
	copy(file[e.at:], e.data)
	return file
}

// fate decides what becomes of the writes that were not synced.
type fate struct {
	name string
	keep func(*rand.Rand) float64 // the share of them that reaches the disk
}

var fates = []fate{
	{"none of them", func(*rand.Rand) float64 { return 0 }},
	{"all of them", func(*rand.Rand) float64 { return 1 }},
	{"some of them", (*rand.Rand).Float64},
}

// cut returns the content of a file after the power is gone.
func (d *disk) cut(rng *rand.Rand, file string, keep float64) []byte {
	const sector = 512
	left := d.durable[file]
	if left != nil {
		left = append([]byte{}, left...)
	}
	for _, p := range d.pending[file] {
		switch {
		case keep < 1 && rng.Float64() >= keep:
			continue
		case keep < 1 && p.call == "pwrite64" && rng.IntN(4) == 0:
			torn := p.event // between two sectors
			torn.data = torn.data[:min(len(torn.data), rng.IntN(8)*sector)]
			left = torn.happen(left)
		default:
			left = p.happen(left)
		}
	}
	return left
}

func (d *disk) String() string {
	n := 0
	for _, p := range d.pending {
		n += len(p)
	}
	return fmt.Sprintf("%d calls not synced", n)
}
