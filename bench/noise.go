package bench

import (
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Noise is who else used the processors while the trials ran, as fractions of the total
// time. Zero if unknown.
type Noise struct {
	Stolen float64 `json:"stolen"` // by other guests of the host
	Others float64 `json:"others"` // by other processes of this machine
}

// ticks is how the processors have spent their time since the machine started.
type ticks struct {
	all, busy, steal float64
}

// noiseMeter measures the noise since it was created.
type noiseMeter struct {
	began time.Time
	ticks ticks
	own   time.Duration
}

func newNoiseMeter() noiseMeter {
	return noiseMeter{time.Now(), readTicks(firstLine("/proc/stat")), familyTime()}
}

func (m noiseMeter) noise() Noise {
	now := readTicks(firstLine("/proc/stat"))
	own := (familyTime() - m.own).Seconds() / time.Since(m.began).Seconds() / float64(runtime.NumCPU())
	return noiseBetween(m.ticks, now, own)
}

// noiseBetween subtracts the share that this program used itself from the busy time.
func noiseBetween(before, after ticks, own float64) Noise {
	all := after.all - before.all
	if all <= 0 {
		return Noise{}
	}
	return Noise{
		Stolen: (after.steal - before.steal) / all,
		Others: max(0, (after.busy-before.busy)/all-own),
	}
}

// readTicks reads the line of /proc/stat: cpu user nice system idle iowait irq
// softirq steal …
func readTicks(line string) (t ticks) {
	const idle, iowait, steal = 3, 4, 7
	fields := strings.Fields(line)
	if len(fields) <= steal+1 || fields[0] != "cpu" {
		return t
	}
	for i, text := range fields[1 : steal+2] {
		n, _ := strconv.ParseFloat(text, 64) // the kernel writes numbers
		t.all += n
		switch i {
		case idle, iowait:
		case steal:
			t.steal = n
		default:
			t.busy += n
		}
	}
	return t
}
