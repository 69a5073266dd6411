package load

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/chunkfill/chunkfill/bench/internal/dsn"
)

// A load in a process of its own polls for SQLite's lock instead of queueing for
// the connection. The parent and the child talk in lines of JSON: orders down
// (the end of the input means stop), then one "ready" and the phases up.

type order struct {
	Path   string  `json:"path,omitempty"`   // of the database, in the first order only
	Config *Config `json:"config,omitempty"` // in the first order only
	Phase  string  `json:"phase,omitempty"`
}

type answer struct {
	Ready  bool    `json:"ready,omitempty"`
	Phases []Phase `json:"phases,omitempty"`
}

// Serve is the main function of the child: a command calls it with its standard input and
// output and returns. It ends when the input does, so it never outlives its parent.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var first order
	if err := orders.Decode(&first); err != nil {
		return fmt.Errorf("read what to load: %w", err)
	}
	if first.Config == nil {
		return errors.New("read what to load: there is no config")
	}
	db, err := Open(first.Path)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := Start(ctx, db, *first.Config)
	if err != nil {
		return err
	}
	if err := answers.Encode(answer{Ready: true}); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	l.obey(orders)
	cancel()
	return answers.Encode(answer{Phases: l.Wait()})
}

// obey begins phases until there are no more orders.
func (l *Load) obey(orders *json.Decoder) {
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return
		}
		l.Phase(o.Phase)
	}
}

// Open opens a database as an ingesting service does: one connection, and a busy timeout of
// five seconds.
func Open(path string) (*sql.DB, error) {
	return dsn.Open(path, "mode=rw", "_pragma=busy_timeout(5000)", "_pragma=synchronous(normal)")
}

// Process is a load in a child process. It is not safe for concurrent use.
type Process struct {
	cmd     *exec.Cmd
	in      io.Closer
	orders  *json.Encoder
	answers *json.Decoder
}

// StartProcess starts cmd, which must call Serve, on the database at path. It returns when
// the child is inserting. Stop must be called.
func StartProcess(cmd *exec.Cmd, path string, cfg Config) (*Process, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the load process: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the load process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the load process: %w", err)
	}
	p := &Process{cmd: cmd, in: in, orders: json.NewEncoder(in), answers: json.NewDecoder(out)}
	if _, err := p.ask(order{Path: path, Config: &cfg}); err != nil {
		_, stopErr := p.Stop()
		return nil, fmt.Errorf("start the load process: %w", errors.Join(err, stopErr))
	}
	return p, nil
}

func (p *Process) ask(o order) (a answer, err error) {
	if err := p.orders.Encode(o); err != nil {
		return a, err
	}
	err = p.answers.Decode(&a)
	return a, err
}

// Phase begins a phase, as Load.Phase does.
func (p *Process) Phase(name string) error {
	return p.orders.Encode(order{Phase: name})
}

// Stop ends the load and the process, and returns all phases.
func (p *Process) Stop() ([]Phase, error) {
	p.in.Close()
	var last answer
	decodeErr := p.answers.Decode(&last)
	if err := p.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("wait for the load process: %w", err)
	}
	if decodeErr != nil {
		return nil, fmt.Errorf("read what the load process measured: %w", decodeErr)
	}
	return last.Phases, nil
}
