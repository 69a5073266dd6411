package control

import (
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// answer is what a command prints as JSON: what was asked, and whether it has taken effect.
type answer struct {
	Job         *string          `json:"job"` // nil for all jobs
	Request     string           `json:"request"`
	TakenEffect *bool            `json:"taken_effect"` // nil where that cannot be told
	Phase       *chunkfill.Phase `json:"phase"`        // of the job; nil for all jobs, and for one that is forgotten
}

// effectTime is how long a command waits, for its JSON, until a running job follows. It is
// promised for a quarter of a second.
const effectTime = time.Second

// state is a job as a command finds it after it has asked something.
type state struct {
	chunkfill.Status
	runs bool // somebody runs it
}

// settled reads how a job stands, when what was asked has taken effect or effectTime is over.
func (o operator) settled(name string, effect func(state) bool) (answer, error) {
	request := o.cmd.Name()
	for began := time.Now(); ; {
		s, err := o.state(name)
		if err != nil {
			return answer{}, err
		}
		taken := effect(s)
		if taken || !s.runs || time.Since(began) > effectTime {
			return answer{&name, request, &taken, &s.Phase}, nil
		}

		timer := time.NewTimer(10 * time.Millisecond)
		select {
		case <-o.cmd.Context().Done():
			return answer{}, o.cmd.Context().Err()
		case <-timer.C:
		}
	}
}

func (o operator) state(name string) (state, error) {
	ctx := o.cmd.Context()
	s, err := o.Status(ctx, name)
	if err != nil {
		return state{}, err
	}
	_, runs, err := engine.Owner(ctx, o.sql, name)
	return state{s, runs}, err
}

// tell prints what was asked: a line, or, as JSON, also whether it has taken effect.
func (o operator) tell(name, line string, effect func(state) bool) error {
	out := o.cmd.OutOrStdout()
	if !o.asJSON {
		_, err := fmt.Fprintf(out, "%s: %s\n", output.Visible(name), line)
		return err
	}
	a, err := o.settled(name, effect)
	if err != nil {
		return err
	}
	return output.WriteJSON(out, a)
}
