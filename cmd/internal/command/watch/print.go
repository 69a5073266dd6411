package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

const (
	// How often progress is shown that is no change of state: in JSON, and in lines where
	// there is no terminal. On a terminal it is with each look.
	jsonEvery = time.Second
	lineEvery = 5 * time.Second
)

// state is what a job is in, without what changes while it is in it.
func state(j output.Job) string {
	return fmt.Sprint(j.Phase, "|", j.Step, "|", j.Pass, "|", j.Error, "|", standing(j), "|", j.Request)
}

// linePrinter shows jobs to people: a line for each change of state, and progress.
type linePrinter struct {
	out  *output.Progress
	seen map[string]string // states
	told time.Time         // when progress was shown last
}

func (p *linePrinter) show(now time.Time, jobs []output.Job) error {
	if p.seen == nil {
		p.seen = map[string]string{}
		if len(jobs) == 0 {
			fmt.Fprintln(p.out, "no job has run on this database yet")
		}
	}

	present := map[string]bool{}
	for _, j := range jobs {
		present[j.Name] = true
		if s, known := p.seen[j.Name]; known && s == state(j) {
			continue
		}
		p.seen[j.Name] = state(j)
		if err := p.line(now, j.Name, changed(j)); err != nil {
			return err
		}
	}

	for name := range p.seen {
		if !present[name] {
			delete(p.seen, name)
			if err := p.line(now, name, "forgotten"); err != nil {
				return err
			}
		}
	}
	return p.progress(now, jobs)
}

// line prints a line that stays.
func (p *linePrinter) line(now time.Time, name, text string) error {
	at := now.UTC().Format(time.RFC3339)
	if p.out.Terminal {
		at = now.Local().Format(time.TimeOnly)
	}
	_, err := fmt.Fprintln(p.out, output.Visible(fmt.Sprintf("%s  %s  %s", at, name, text)))
	return err
}

// changed is a job whose state is new, in a line.
func changed(j output.Job) string {
	if j.Error != "" {
		return glance(j) + "  " + j.Error
	}
	return glance(j)
}

// progress shows how far the jobs are that are not at their end.
func (p *linePrinter) progress(now time.Time, jobs []output.Job) error {
	open := slices.DeleteFunc(slices.Clone(jobs), func(j output.Job) bool {
		over, _ := ended(j)
		return over
	})
	if p.out.Terminal {
		p.draw(open)
		return nil
	}

	if now.Sub(p.told) < lineEvery {
		return nil
	}
	first := p.told.IsZero() // the lines of the first look have told it
	p.told = now
	for _, j := range open {
		if first || waits(j) || dead(j) {
			continue
		}
		if err := p.line(now, j.Name, glance(j)); err != nil {
			return err
		}
	}
	return nil
}

// draw draws one line over and over: the first of the jobs, and how many there are.
func (p *linePrinter) draw(open []output.Job) {
	if len(open) == 0 {
		p.out.Clear()
		return
	}
	line := open[0].Name + "  " + glance(open[0])
	if len(open) > 1 {
		line = fmt.Sprintf("%d jobs  %s", len(open), line) // in front, where a narrow terminal has room
	}
	p.out.Show(line)
}

// jsonPrinter shows jobs to programs.
type jsonPrinter struct {
	out  io.Writer
	seen map[string]jsonSeen
}

type jsonSeen struct {
	state string
	text  []byte
	at    time.Time
}

// sighting is a line of the JSON output.
type sighting struct {
	At   time.Time   `json:"at"`
	Name string      `json:"name"`
	Job  *output.Job `json:"job"`
}

func (p *jsonPrinter) show(now time.Time, jobs []output.Job) error {
	present := map[string]bool{}
	for _, j := range jobs {
		present[j.Name] = true
		text, err := json.Marshal(j)
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}

		before, known := p.seen[j.Name]
		is := jsonSeen{state(j), text, now}
		if known && before.state == is.state && (now.Sub(before.at) < jsonEvery || bytes.Equal(before.text, text)) {
			continue
		}
		p.seen[j.Name] = is
		if err := output.WriteJSONLine(p.out, sighting{now.UTC(), j.Name, &j}); err != nil {
			return err
		}
	}

	for name := range p.seen {
		if present[name] {
			continue
		}
		delete(p.seen, name)
		if err := output.WriteJSONLine(p.out, sighting{now.UTC(), name, nil}); err != nil {
			return err
		}
	}
	return nil
}
