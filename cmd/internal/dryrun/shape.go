package dryrun

import (
	"fmt"

	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// steps prints those of a job that gives a table another shape, with what they run.
func (p preview) steps(steps []engine.DryRunStep) {
	for _, s := range steps {
		text := fmt.Sprintf("%s (%s)", s.Name, s.Kind)
		if s.NoReturn {
			text += ", behind which the job cannot be cancelled"
		}
		p.field("step", text)
		for _, statement := range s.SQL {
			fmt.Fprintf(p.out, "           %s;\n", output.Indented(statement)) // as it is, to be copied
		}
	}
}

// plans prints the application's queries.
func (p preview) plans(s engine.DryRunReshape) {
	for _, q := range s.Queries {
		p.field("query", output.Visible(q.Query))
		for _, step := range q.Before {
			p.field("  now", output.Visible(step))
		}
		for _, step := range q.After {
			p.field("  then", output.Visible(step))
		}
	}
	for _, refusal := range s.Refusals {
		p.field("refused", output.Visible(refusal))
	}
}

// room prints what the new table takes. For how long a plain CREATE INDEX would hold the writer
// is one of the notes.
func (p preview) room(s engine.DryRunReshape) {
	if s.NeededBytes >= 0 {
		p.field("room", fmt.Sprintf("%s with the write-ahead log: the table takes about %s, its indexes %s, of which %s fit into unused pages of the file",
			bytes(s.NeededBytes), bytes(s.TableBytes), bytes(s.IndexBytes), bytes(s.ReusedBytes)))
	}
	if s.MemoryBytes >= 0 {
		p.field("memory", fmt.Sprintf("up to %s, the page cache of the connection", bytes(s.MemoryBytes)))
	}
}
