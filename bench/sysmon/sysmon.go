// Package sysmon measures what a rewrite costs besides time: the memory of this process,
// the size of the write-ahead log and the free space on the disk.
//
// It only asks for the size of the log. Opening the -wal or -shm file and closing it again
// would drop SQLite's locks in this process.
package sysmon

import (
	"os"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/bench/timeline"
)

// Config says what to measure.
type Config struct {
	// Path is the path of the database.
	Path string
	// Every is the time between two measurements. Defaults to 5 ms.
	Every time.Duration
}

// Report holds the results, in bytes.
type Report struct {
	RSS       int64             `json:"rss"` // peak, of this process
	RSSSource string            `json:"rss_source"`
	WAL       int64             `json:"wal"`  // peak
	Free      int64             `json:"free"` // minimum; -1 if unknown
	WALOver   timeline.Timeline `json:"wal_over_time"`
}

// Monitor measures at regular intervals until it is stopped.
type Monitor struct {
	cfg  Config
	stop chan struct{}
	done chan struct{}
	once sync.Once

	report Report // of the goroutine, until done is closed
}

// Start begins to measure. Stop must be called.
func Start(cfg Config) *Monitor {
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Millisecond
	}
	m := &Monitor{cfg: cfg, stop: make(chan struct{}), done: make(chan struct{})}
	m.report = Report{Free: -1, WALOver: timeline.New(time.Now())}
	go m.run()
	return m
}

// Stop takes one last measurement and returns the results. It may be called more than once.
func (m *Monitor) Stop() Report {
	m.once.Do(func() { close(m.stop) })
	<-m.done
	return m.report
}

func (m *Monitor) run() {
	defer close(m.done)
	ticker := time.NewTicker(m.cfg.Every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		m.look(n%100 == 0) // the disk fills slowly
		select {
		case <-m.stop:
			m.look(true)
			return
		case <-ticker.C:
		}
	}
}

func (m *Monitor) look(disk bool) {
	r := &m.report
	rss, source := residentBytes()
	r.RSS, r.RSSSource = max(r.RSS, rss), source
	wal := walBytes(m.cfg.Path)
	r.WAL = max(r.WAL, wal)
	r.WALOver.Add(time.Now(), float64(wal))
	if !disk {
		return
	}
	if free := FreeBytes(m.cfg.Path); free >= 0 && (r.Free < 0 || free < r.Free) {
		r.Free = free
	}
}

func walBytes(path string) int64 {
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}
